"""``python -m stack.training_launcher``: the only way from Airflow to the Docker engine.

Whoever reaches an engine's socket owns the machine. So the socket is in this process's container alone, and nothing of
Docker's passes: a request names a use case, a snapshot and a run, and all else about the container that is started is
this process's own configuration. The engine is asked by its client library, never with a byte of the request.

A run's container sees nothing of the lake. What it is given is copied into it, and what it made is copied out of it, by
this process: a link in the lake leads to nothing but this container's own files.

Nothing is remembered here: the containers are, with their labels, so this process may end at any moment. What nobody
fetches is removed after a while.
"""
