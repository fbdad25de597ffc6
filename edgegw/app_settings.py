"""From the site file to the settings of the heart and of the way to the cloud. Pure; runs once, at start."""

from __future__ import annotations

from typing import Any

from edgegw.config import SiteConfig
from edgegw.core.authorization import TokenPolicy
from edgegw.core.files import NO_FILES, FilesPolicy
from edgegw.core.site import Policy
from edgegw.quirks.load import load_quirks
from edgegw.runtime.backoff import BackoffSettings
from edgegw.runtime.cloud_way import GatewaySettings
from edgegw.wire.versions import Version


def policy_from(config: SiteConfig) -> Policy:
    cloud = config.cloud
    auth = config.authorization
    tokens = TokenPolicy(
        accept_unknown=auth.unknown_tags == "accept",
        site_cache=auth.site_cache,
        cache_lifetime_s=auth.cache_lifetime_s,
        tags={tag.casefold(): status for tag, status in auth.tags.items()},
    )
    common: dict[str, Any] = {
        "accept_unknown_chargers": config.chargers.unknown == "accept",
        "mode": auth.mode,
        "tokens": tokens,
        "one_transaction_per_tag": auth.one_transaction_per_tag,
        "charger_answer_timeout_s": config.chargers.answer_timeout_s,
        "heartbeat_interval_s": int(config.chargers.heartbeat_interval_s),
    }
    if cloud is None:
        return Policy(standalone=True, **common)
    return Policy(
        serve_locally=cloud.on_loss == "serve_locally",
        cloud_answer_timeout_s=cloud.answer_timeout_s,
        message_attempts=cloud.message_attempts,
        message_retry_interval_s=cloud.message_retry_interval_s,
        replay_boot_always=cloud.replay_boot == "always",
        replay_unlimited=cloud.replay_rate_per_s == 0,
        adopt_moves=cloud.moves == "adopt",
        gateway_url=config.chargers.public_url or "",
        **common,
    )


def files_policy_from(config: SiteConfig) -> FilesPolicy:
    """Raises ConfigFault for a quirk file that is wrong."""
    if config.files is None:
        return NO_FILES
    return FilesPolicy(
        works=True,
        patience_s=config.files.patience_s,
        relay_forbidden=config.files.forbidden == "relay",
        quirks=load_quirks(config.balancing.quirks_directory),
    )


def gateway_settings(config: SiteConfig) -> GatewaySettings:
    cloud, chargers = config.cloud, config.chargers
    assumed = None if chargers.missing_subprotocol == "refuse" else Version(chargers.missing_subprotocol)
    if cloud is None:
        return GatewaySettings(path=chargers.path, known=chargers.known, assumed_version=assumed)
    return GatewaySettings(
        path=chargers.path,
        cloud_url=cloud.url,
        known=chargers.known,
        assumed_version=assumed,
        replay_rate_per_s=cloud.replay_rate_per_s,
        backoff=BackoffSettings(
            cloud.retry_wait_minimum_s, cloud.retry_random_range_s, cloud.retry_repeat_times
        ),
    )
