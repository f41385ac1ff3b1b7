"""The HTTP side: health and metrics. Holds no frame logic.

status.py      the shape of what the supervisor tells
app.py         routes and answers
metrics.py     the status as Prometheus metrics
listen.py      the socket, bound before anything is started
server.py      the HTTP server on it
"""
