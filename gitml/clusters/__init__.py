"""A Kubernetes cluster: Jobs and Deployments are made in it, their pods and logs are looked at."""

from __future__ import annotations

from gitml.clusters.cluster import Cluster, ClusterError, connect, context_of
from gitml.clusters.logs import Log
from gitml.clusters.pods import Pod, pod_of

__all__ = ["Cluster", "ClusterError", "Log", "Pod", "connect", "context_of", "pod_of"]
