"""NetworkPolicies: what may talk to what. Each names our own pods only, so a shared namespace stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from urllib.parse import urlsplit

from bapsang_operator import names
from bapsang_operator.build import meta, mysql, redis, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Mail

_JOBS = (Component.MIGRATE, Component.LIKE_SYNC, Component.IMAGE_COLLECTOR)
#: TLS from the first byte, and STARTTLS.
_MAIL = (465, 587)
#: Where EKS Pod Identity hands out credentials, on each node: not reached through any port that is open otherwise.
_POD_IDENTITY = ("169.254.170.23/32", "fd00:ec2::23/128")


def policies(community: Community) -> list[Child]:
    """Return the policies of API, jobs and, where there are any, photo and mail workers, Redis and MySQL."""
    name = community.name
    egress = _egress(community)
    clients = [Component.API, *_JOBS]
    found = [
        _policy(
            community,
            names.api(name),
            [Component.API],
            # Traffic and, for probes and scrapers, the admin port; from anywhere, as ingress controllers are anywhere.
            ingress=[{"ports": _ports(wiring.HTTP_PORT, wiring.ADMIN_PORT)}],
            egress=egress,
        ),
        _policy(community, names.jobs(name), list(_JOBS), ingress=[], egress=egress),
    ]
    if community.redis.managed:
        found.append(_store(community, names.redis(name), Component.REDIS, redis.PORT, clients))
    if community.storage is not None:
        clients = [*clients, Component.MEDIA]
        ingress = [{"ports": _ports(wiring.ADMIN_PORT)}]
        egress = _egress(community, uses_redis=False)
        found.append(_policy(community, names.media(name), [Component.MEDIA], ingress=ingress, egress=egress))
    if community.mail is not None:
        clients = [*clients, Component.MAIL]
        ingress = [{"ports": _ports(wiring.ADMIN_PORT)}]
        egress = _egress(community, uses_redis=False, uses_bucket=False, outside=_mail_ports(community.mail))
        found.append(_policy(community, names.mail(name), [Component.MAIL], ingress=ingress, egress=egress))
    if community.database.embedded:
        found.append(_store(community, names.mysql(name), Component.MYSQL, mysql.PORT, clients))
    return found


def _store(community: Community, name: str, component: Component, port: int, clients: list[Component]) -> Child:
    ingress = [{"from": [{"podSelector": _pods(community, clients)}], "ports": _ports(port)}]
    return _policy(community, name, [component], ingress=ingress, egress=[])


def _policy(
    community: Community, name: str, components: list[Component], *, ingress: list[Manifest], egress: list[Manifest]
) -> Child:
    # An empty list means "nothing"; it is left out, because the apiserver drops it and policyTypes says the same.
    rules = {key: value for key, value in (("ingress", ingress), ("egress", egress)) if value}
    return Child(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta.metadata(community, name, components[0]),
            "spec": {
                "podSelector": _pods(community, components),
                "policyTypes": ["Ingress", "Egress"],
                **rules,
            },
        }
    )


def _pods(community: Community, components: list[Component]) -> Manifest:
    if len(components) == 1:
        return {"matchLabels": meta.selector(community, components[0])}
    return {
        "matchLabels": {names.LABEL_COMMUNITY: community.name},
        "matchExpressions": [
            {"key": names.LABEL_COMPONENT, "operator": "In", "values": [component.value for component in components]}
        ],
    }


def _ports(*ports: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _egress(
    community: Community, *, uses_redis: bool = True, uses_bucket: bool = True, outside: Iterable[int] = ()
) -> list[Manifest]:
    """Return what pods may reach; `outside`: ports beside those of stores and bucket."""
    found: list[Manifest] = [{"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]
    outside = set(outside)
    if uses_redis and community.redis.managed:
        found.append(_to(community, Component.REDIS, redis.PORT))
    elif uses_redis:
        outside |= {443, redis.PORT, _explicit_port(community.redis.url)}
    if community.database.embedded:
        found.append(_to(community, Component.MYSQL, mysql.PORT))
    else:
        outside |= {443, mysql.PORT}
    if uses_bucket and community.storage is not None:
        outside.add(_port(community.storage.endpoint))
        if not community.storage.access_key:
            outside.add(443)  # IRSA asks AWS STS
            found.append({"to": [{"ipBlock": {"cidr": cidr}} for cidr in _POD_IDENTITY], "ports": _ports(80)})
    if outside:
        found.append({"ports": _ports(*sorted(outside))})
    return found + [copy.deepcopy(dict(rule)) for rule in community.network_policy.extra_egress]


def _to(community: Community, component: Component, port: int) -> Manifest:
    return {"to": [{"podSelector": _pods(community, [component])}], "ports": _ports(port)}


def _port(endpoint: str | None) -> int:
    """Return the port of an S3 endpoint; AWS' own is on 443."""
    if endpoint is None:
        return 443
    parts = urlsplit(endpoint)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _mail_ports(mail: Mail) -> tuple[int, ...]:
    """Return the ports of the mail server; the usual ones where a Secret names it."""
    if mail.url is None:
        return _MAIL
    parts = urlsplit(mail.url)
    usual = 25 if parts.query else _MAIL[parts.scheme == "smtp"]
    return (parts.port or usual,)


def _explicit_port(url: str | None) -> int:
    return (urlsplit(url).port if url is not None else None) or redis.PORT
