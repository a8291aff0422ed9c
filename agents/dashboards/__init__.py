"""Dashboards for Grafana: which panels there are, what they ask Prometheus, how to read them.

Panels are data (`business`, `operation`); `building` turns them into what Grafana imports, by Grafana's own
builders.
``python -m agents.dashboards`` writes them to ``deploy/grafana``. No worker needs any of this.
"""
