"""The HTTP side: health and metrics. Holds no frame logic.

status.py      the shape of what the supervisor tells
app.py         routes and answers
prometheus.py  the status as Prometheus metrics
server.py      the socket and the HTTP server on it
"""
