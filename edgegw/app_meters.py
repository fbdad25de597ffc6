"""From the site file to running meters. Apart from `app_power`: a site without a meter loads no Modbus."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.balance.model import Reading
from edgegw.config import SiteConfig
from edgegw.config_power import Meter
from edgegw.errors import ConfigFault
from edgegw.meters.connection import Lines
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.poller import MeterPoller, PollerSettings
from edgegw.meters.template import Template, find, load_templates, protects_phases


def pollers_from(
    config: SiteConfig,
    on_reading: Callable[[str, Reading], None],
    on_trouble: Callable[[str, str, str], None],
) -> list[MeterPoller]:
    """Raises ConfigFault when a template is not known or cannot protect a phase."""
    if not config.meter:
        return []
    templates = load_templates(config.balancing.meters_directory)
    lines = Lines()  # meters on one serial line share it
    return [_poller(meter, templates, config, on_reading, on_trouble, lines) for meter in config.meter]


def check_meters(config: SiteConfig) -> None:
    """Raises ConfigFault for what `pollers_from` would refuse."""
    if config.meter:
        templates = load_templates(config.balancing.meters_directory)
        for meter in config.meter:
            _template(meter, templates)


def _template(meter: Meter, templates: dict[str, Template]) -> Template:
    try:
        template = find(templates, meter.template)
    except ConfigFault as fault:
        raise ConfigFault(f"[[meter]] {meter.name}: {fault}") from fault
    if not protects_phases(template):
        raise ConfigFault(
            f"[[meter]] {meter.name}: {meter.template} shows totals only: it cannot protect a phase"
        )
    return template


def _poller(
    meter: Meter,
    templates: dict[str, Template],
    config: SiteConfig,
    on_reading: Callable[[str, Reading], None],
    on_trouble: Callable[[str, str, str], None],
    lines: Lines,
) -> MeterPoller:
    template = _template(meter, templates)
    options = MeterOptions(
        invert=meter.invert,
        rotation=(meter.phases[0], meter.phases[1], meter.phases[2]),
        nominal_v=config.balancing.nominal_voltage_v,
        frozen_after_s=meter.frozen_after_s,
    )
    settings = PollerSettings(
        name=meter.name,
        address=meter.address,
        unit=template.unit_id if meter.unit is None else meter.unit,
        poll_interval_s=meter.poll_interval_s,
        timeout_s=meter.timeout_s,
    )
    return MeterPoller(settings, template, Plausibility(template, options), on_reading, on_trouble, lines)
