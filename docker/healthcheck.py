"""Whether the engine in this container answers: exit status 0 or 1, and one line that says why not.

It asks `/health/live`, which needs no login. That it answers is what is asked, not that every camera works: an engine
whose cameras are away goes on by itself, and would only lose time if somebody started it again.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

TIMEOUT_S = 3.0


def failure() -> str:
    """Why it does not answer; empty if it does."""
    port = int(os.environ.get("ENGINE_CONTROL_PORT", "8080"))
    connection: http.client.HTTPConnection
    if os.environ.get("ENGINE_CONTROL_TLS_CERT", "off") == "off":
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    else:
        # The certificate names the machine as others know it, not this address; the connection leaves no container.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"port {port}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return "" if status == http.HTTPStatus.OK else f"port {port}: /health/live answers {status}"


if __name__ == "__main__":
    reason = failure()
    if reason:
        print(reason)
    sys.exit(1 if reason else 0)
