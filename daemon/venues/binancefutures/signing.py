"""What makes the signers that `trading_of` is given; the family has it."""

from daemon.venues.binance.signing import Ed25519Signer, HmacSigner, make_signer

__all__ = ["Ed25519Signer", "HmacSigner", "make_signer"]
