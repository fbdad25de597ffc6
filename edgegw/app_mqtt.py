"""The building's side of the composition root: telemetry, publisher, commands; built from the site file."""
