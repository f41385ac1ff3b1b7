"""The HTTP side: dashboard, API, health and metrics. Holds no frame logic.

app.py             the application: the table of operations, and what is made from it
operations.py      what an operation is; roles.py, bodies.py, answers.py, routing.py, openapi.py, index.py serve it
cameras.py, shortcuts.py, segmentation.py, ptz.py, identities.py, event_routes.py, health.py, login.py   operations
gate.py            what every request passes: access.py (who asks, how often), guard.py (from where)
security.py        tokens, names and TLS, checked before anything starts; tokens.py, sessions.py, limits.py
commands.py        asking workers;  masking.py  documents without secrets
stream.py          WebSockets; stream_clients.py, stream_messages.py, event_log.py
video.py, video_routes.py, whep.py, hls.py, mjpeg.py, snapshot.py   live video
pages.py, static   the dashboard
status.py          the shape of what the supervisor tells;  metrics*.py  the same as Prometheus metrics
listen.py          the socket, bound before anything is started;  server.py  the HTTP server on it
"""
