"""What a user may rely on: each kind of key signs as its exchange checks it, and none shows in a message."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from daemon.venues.keys import PemSigner, wallet_key
from hftd.errors import ConfigError


def pem_of(key, form=serialization.PrivateFormat.PKCS8):
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


EC = ec.generate_private_key(ec.SECP256R1())
OTHERS = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
    "EC": ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize("is_escaped", [False, True])
def test_a_signature_with_a_curve_is_two_numbers_that_the_public_key_confirms(form, is_escaped):
    pem = pem_of(EC, form)
    signer = PemSigner("organizations/o/apiKeys/k", pem.replace("\n", "\\n") if is_escaped else pem, "EC")
    signature = base64.b64decode(signer.sign("header.claims"))
    assert len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    EC.public_key().verify(encode_dss_signature(r, s), b"header.claims", ec.ECDSA(hashes.SHA256()))
    assert "***" in repr(signer)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_private_key_of_another_kind_is_refused_without_being_shown(kind):
    pem = pem_of(OTHERS[kind])
    with pytest.raises(ConfigError, match="another kind") as failure:
        PemSigner("key", pem, "EC")
    assert not any(line in str(failure.value) for line in pem.splitlines()[1:-1])


def test_a_wallets_key_is_32_bytes_with_or_without_its_mark():
    digits = "5E" * 32
    assert wallet_key(digits) == wallet_key(f" 0x{digits.lower()}\n") == b"\x5e" * 32


@pytest.mark.parametrize("text", ["", "0x", "5e" * 31, "5e" * 33, "zz" * 32, "0x0x" + "5e" * 32])
def test_what_is_no_wallets_key_is_refused_without_being_shown(text):
    with pytest.raises(ConfigError, match="not a private key") as failure:
        wallet_key(text)
    assert len(text) < 10 or text not in str(failure.value)
