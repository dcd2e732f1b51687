"""How gunicorn serves the API: what no client may hold for longer than its share.

A thread gets a request only when the head has arrived, and must see the body and the answer move on. `worker.py` is the
class that gunicorn runs, set in `service/gunicorn_settings.py`; the other modules are its parts.
"""
