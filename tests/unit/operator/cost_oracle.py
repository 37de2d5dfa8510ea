"""A second implementation of the bill, from the tables of prices and not from the code: one formula, one number."""

from __future__ import annotations

from typing import Any

H = 730
DAYS = 30.4
VCPU = {"t4g.medium": (2, 0.2), "t4g.large": (2, 0.3), "c7g.medium": (1, 1), "c7g.large": (2, 1), "m7g.large": (2, 1)}


def monthly(p: dict[str, dict[str, Any]], d: dict[str, Any], t: dict[str, Any]) -> float:
    """Return USD a month of a design and a traffic, both as plain dictionaries; `p` holds the rows of the book by id."""
    usd = {name: row["usd"] for name, row in p.items()}
    hours = d["burst_hours"] if d["burst_hours"] is not None else t["peak_hours_a_day"] * DAYS
    millions = t["average_qps"] * 3600 * 24 * DAYS / 1e6
    zones = d["zones"]

    bill = usd["eks.cluster"] * H
    bill += d["base_nodes"] * H * usd["ec2." + d["base_type"]] * (1 - d["commitment"])
    burst = p["ec2." + d["burst_type"]]
    bill += d["burst_nodes"] * hours * (burst["spot"][1] if d["spot"] else burst["usd"])
    bill += 20 * usd["ebs.gp3"] * (d["base_nodes"] + d["burst_nodes"] * hours / H)
    if d["peak_utilisation"] is not None:
        for kind, count in ((d["base_type"], d["base_nodes"]), (d["burst_type"], d["burst_nodes"])):
            cores, baseline = VCPU[kind]
            bill += max(0, d["peak_utilisation"] - baseline) * cores * count * hours * usd["ec2.surplus"]

    copies = 1 + d["database_multi_az"] + d["database_replica"]
    bill += copies * (H * usd["rds." + d["database"]] + d["database_storage_gb"] * usd["rds.gp3"])
    bill += d["backup_gb"] * usd["rds.backup"]
    bill += copies * 2 * H * usd["rds.extended-support"] if d["mysql_8_0"] else 0
    bill += d["cache_nodes"] * H * usd[f"cache.{d['cache_engine']}.{d['cache']}"] if d["cache_nodes"] else 0

    bill += H * (usd["alb.hour"] + zones * usd["ipv4"]) + millions * t["balancer_kb"] * usd["alb.lcu"]
    if d["egress"] == "endpoints":
        bill += d["endpoints"] * zones * H * usd["endpoint.hour"] + t["node_gb"] * usd["endpoint.data"]
    elif d["egress"] == "nat-instances":
        bill += zones * H * (usd["ec2.t4g.nano"] + usd["ipv4"])
    else:
        bill += zones * H * (usd["nat.hour"] + usd["ipv4"]) + t["node_gb"] * usd["nat.data"]
    size = t["compressed_kb"] if d["compress"] else t["response_kb"]
    bill += max(0, millions * size - 100) * usd["egress"]
    bill += millions * t["internal_kb"] * d["cross_zone"] * usd["zone-transfer"]

    views, photo_gb = t["photo_views_millions"], t["photo_views_millions"] * t["photo_kb"]
    cdn = str(d["cdn"])
    if cdn == "none":
        bill += photo_gb * usd["egress"] + views * 100 * usd["s3.get"]
    elif cdn == "as-used":
        bill += max(0, photo_gb - 1024) * usd["cdn.egress"] + max(0, views - 10) * 100 * usd["cdn.requests"]
    else:
        bill += usd["cdn." + cdn]
    taken_down = t["photos_a_day"] * DAYS * t["removed_share"]
    bill += 0 if cdn == "none" else max(0, taken_down - 1000) * usd["cdn.invalidation"]

    a_day, days, sent = t["photos_a_day"], t["days_stored"], t["presigns_millions"]
    used, sent_a_day, objects = a_day * DAYS / 1e6, sent * 1e6 / DAYS, t["photo_files"] + 1
    bill += (sent * 2 + (0 if cdn == "none" else views / 20)) * 100 * usd["s3.get"]
    bill += (sent + used * objects + (sent * objects if d["check_function"] else 0)) * 1000 * usd["s3.put"]

    # Variants for good; the rest for its days and a week.
    lies = days * t["derived_mb"] * a_day
    lies += min(days, d["originals_days"] + 7) * t["original_mb"] * a_day
    lies += min(days, 8) * t["original_mb"] * sent_a_day
    lies += min(days, 9) * t["derived_mb"] * sent_a_day if d["check_function"] else 0
    bill += max(0, lies / 1000 - (1000 if cdn == "business" else 0)) * usd["s3.standard"]

    bill += sent * usd["http-api"]
    work = t["cpu_seconds_per_photo"]
    if d["check_function"]:
        bill += max(0, 2 * sent - 1) * usd["lambda.requests"]
        bill += max(0, sent * 1e6 * (0.005 + 1.769 * work) - 400_000) * usd["lambda.compute"]
    else:
        bill += max(0, sent - 1) * usd["lambda.requests"] + max(0, sent * 5000 - 400_000) * usd["lambda.compute"]
        bill += used * 1e6 * work / 3600 / 2 * p["ec2.c7g.large"]["spot"][1]
    bill += d["log_gb"] * usd["logs"] + d["alarms"] * usd["alarm"] + d["metrics"] * usd["metric"]
    return float(bill + usd["small-services"])
