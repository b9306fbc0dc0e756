"""The kernel's capabilities by their bits. Source: its include/uapi/linux/capability.h."""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
COUNT: Final = len(_NAMES)
"""How many there are."""


def names(mask: int) -> tuple[str, ...]:
    """Give the names of the bits that are set, by their order; one that this does not know is named by its bit."""
    bits = (bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    return tuple(_NAMES[bit] if bit < COUNT else f"CAP_{bit}" for bit in bits)
