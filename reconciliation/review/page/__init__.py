"""The review page: a small web application on the queue and the log, rendered on the server, complete without JavaScript."""
