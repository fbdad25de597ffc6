"""How a simulated charger behaves: everything about it that a test or a site may choose."""

from __future__ import annotations

from dataclasses import dataclass

from edgegw.sim.ev import Car


@dataclass(frozen=True, slots=True)
class Habits:
    """How a charger behaves. Times in seconds."""

    connectors: int = 1
    engine: str = ""  # "ocpp": the package's ChargePoint; "own"; "": ocpp where it can
    spaced: bool = True  # own engine: blanks after "," and ":"
    id_style: str = "uuid"  # or "counter": "1", "2", ... anew from each boot
    password: str | None = None
    offers: tuple[str, ...] = ()  # subprotocols offered; (): its own version
    compression: bool = False
    message_timeout_s: float = 30.0
    attempts_max: int = 3  # TransactionMessageAttempts
    retry_interval_s: float = 60.0  # TransactionMessageRetryInterval
    backoff_min_s: float = 1.0
    backoff_max_s: float = 60.0
    boot_retry_s: float | None = None  # None: the interval of the BootNotification answer
    heartbeat_s: float | None = None  # None: that interval; 0: none
    meter_interval_s: float = 10.0
    ping_interval_s: float | None = None
    answer_delay_s: float = 0.0  # before it answers a CALL of the cloud
    authorize_first: bool = True
    start_offline: bool = True  # starts without authorisation when it cannot ask
    signed: bool = False  # signed meter values
    power_w: int = 7400
    energy_per_sample_wh: tuple[int, int] = (50, 400)
    seed: int = 0
    # With cars, currents and energy are theirs; without, `power_w` and `energy_per_sample_wh` make them up.
    cars: tuple[Car, ...] = ()
    max_a: float = 32.0  # of each connector
    phases: int = 3
    energy_speed: float = 1.0  # so much faster do the batteries of its cars fill than the clock goes
    # Files. Without protocols a charger knows no firmware and no logs.
    file_protocols: tuple[str, ...] = ()  # of "HTTP", "HTTPS", "FTP"
    tells_file_protocols: bool = True  # GetConfiguration and GetVariables answer them
    security: bool = False  # 1.6 with the security extension: signed updates only, GetLog
    checks_signature: bool = True
    file_attempts: int = 3  # when the order does not say how often to try again
    file_retry_interval_s: float = 10.0  # nor how long to wait before
    file_timeout_s: float = 30.0  # without a byte
    file_ca: str = ""  # PEM file of whom it trusts over HTTPS; "": the system's
    speed_bytes_per_s: int = 0  # of every transfer; 0: as fast as it goes
    download_cut_after_bytes: int = 0  # breaks once, then goes on
    download_resumes: bool = True  # or begins anew after every break
    download_fails_from: str = ""  # beginning of addresses that always fail
    download_fails_after_bytes: int = 0  # so far each attempt gets there
    install_s: float = 0.0
    install_fails: bool = False
    upload_bytes: int = 20_000  # size of a log; 0: it has none
    upload_method: str = "PUT"  # to http addresses; or "POST" (multipart), "FTP" (none: ftp only)
    upload_field: str = "file"  # name of the multipart field
    upload_name: str = ""  # instead of a name of its own
    upload_appends_name: bool = False  # to every address, not only to one that ends with "/"
    upload_cut_after_bytes: int = 0  # breaks once, then begins anew
    upload_fails_to: str = ""  # beginning of addresses that always fail
    hash_log: str = ""  # file that gets one JSON line per finished transfer and installation
