"""Pure builders: from a Community to the manifests of its children. One concern a module; nothing here does I/O."""

from __future__ import annotations

from bapsang_operator.build import (
    api,
    autoscale,
    budget,
    collector,
    headroom,
    ingress,
    likesync,
    mail,
    media,
    migration,
    mysql,
    network,
    redis,
    route,
    wiring,
)
from bapsang_operator.build.child import Child
from bapsang_operator.resource import Community, SecretRef


def children(
    community: Community,
    digests: wiring.Digests,
    *,
    claim: str = "",
    has_keda: bool = False,
    has_routes: bool = False,
) -> list[Child]:
    """Return every child the Community should have now, Secrets aside, in the order of application.

    `claim`: uid of the embedded MySQL's volume claim, empty where there is none. `has_keda`: whether ScaledObjects can
    be made, for a Community that asks for one; `has_routes`: the same of HTTPRoutes.
    """
    found = [api.service_account(community), *network.policies(community)]
    if community.redis.managed:
        found += redis.children(community, digests)
    if community.database.embedded:
        found += mysql.children(community, digests)
    found += [
        api.service(community),
        *budget.budgets(community),
        migration.migration(community, digests, claim),
        api.base(community, digests),
        likesync.like_sync(community, digests),
        api.burst(community, digests),
        autoscale.autoscaler(community, has_keda=has_keda),
    ]
    if community.api.burst.headroom and not community.hibernate:
        found.append(headroom.headroom(community, community.api.burst.headroom))
    if community.storage is not None:
        found += [
            collector.image_collector(community, digests),
            media.media(community, digests),
            autoscale.of_media(community),
        ]
    if community.mail is not None:
        found.append(mail.mail(community, community.mail, digests))
    if community.host is not None and community.has_ingress:
        found.append(ingress.ingress(community, community.host))
    if community.host is not None and community.gateway is not None and has_routes:
        found.append(route.route(community, community.host, community.gateway))
    return found


def secrets_read(community: Community) -> list[SecretRef]:
    """Return the secrets that users provide and pods read; the operator reads them by name."""
    return [ref for ref in wiring.api_secrets(community) if ref.field]
