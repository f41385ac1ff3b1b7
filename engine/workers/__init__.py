"""Worker processes: one synchronous loop a file, read top to bottom: open, loop, close."""
