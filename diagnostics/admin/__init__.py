"""The domain in the Django admin: read-mostly, limited to one's institutions; every act calls a service."""

from . import auditing, learning, monitoring, people, reading, registry, retraining, scans

__all__ = ["auditing", "learning", "monitoring", "people", "reading", "registry", "retraining", "scans"]
