"""A Kubernetes cluster: Jobs are made in it, their pods watched and their logs read."""

from __future__ import annotations

from gitml.clusters.cluster import Cluster, ClusterError, connect
from gitml.clusters.logs import Log
from gitml.clusters.pods import Pod, pod_of

__all__ = ["Cluster", "ClusterError", "Log", "Pod", "connect", "pod_of"]
