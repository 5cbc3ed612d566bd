# First of all: what is imported before this keeps its blocking sockets for ever.
from gevent import monkey

monkey.patch_all()

# A name here that is also one of gunicorn's settings would set it.
from forumapi.config import load as load_settings  # noqa: E402
from forumapi.observability.log import apply as configure_log  # noqa: E402
from forumapi.observability.metrics import share as share_figures  # noqa: E402

# `forumapi serve` reads this file; so does plain `gunicorn -c etc/gunicorn.conf.py`, where a HUP replaces the workers
# instead of applying settings in place. What can be set stands in forumapi.toml; the rest is decided here.
settings = load_settings()
configure_log(settings, access=True)
# For twice as many as there may be: while workers are replaced, old and new ones count.
share_figures(512)

wsgi_app = "forumapi.server.worker:application()"
worker_class = "forumapi.server.worker.ForumWorker"
logger_class = "forumapi.server.master.Log"

# The private one comes last: by that a worker knows it.
bind = [settings.listen, settings.admin_listen] if settings.admin_listen else settings.listen
workers = settings.worker_count
worker_connections = settings.worker_connections
keepalive = settings.keepalive_s
graceful_timeout = settings.graceful_stop_s + settings.drain_s
limit_request_line = settings.header_limit
limit_request_field_size = settings.header_limit
limit_request_fields = settings.header_count_limit

# A worker that has not run its loop for this long is stuck in computation and is replaced.
timeout = 30
backlog = 2048
worker_tmp_dir = "/dev/shm"
# Client addresses are worked out by us from trusted_proxies (P-60); gunicorn believes nobody.
forwarded_allow_ips = ""
proxy_allow_ips = ""
# Its default path is shared by all instances on a machine.
control_socket_disable = True
accesslog = None
loglevel = settings.log_level
