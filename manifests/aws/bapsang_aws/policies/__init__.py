"""The policies of the estate, by what they guard. `judge` applies them all."""

from bapsang_aws.policies import access, balancer, cluster, data, edge, network, watch
from bapsang_aws.policies.core import POLICIES, Finding, judge

__all__ = ["POLICIES", "Finding", "access", "balancer", "cluster", "data", "edge", "judge", "network", "watch"]
