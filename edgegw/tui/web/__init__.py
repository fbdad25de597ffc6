"""The same console in a browser: a small web server that runs one console process per visitor."""
