"""Certificates for tests, made by openssl(1) where and when they are needed.

    ca = Authority(directory)
    pair = ca.issue("mx", names=["mx.example.test"])      # pair.certificate, pair.key
    context = ca.client(pair_of_the_client)               # an ssl.SSLContext that trusts it
"""

import collections
import os
import re
import ssl
import subprocess

from sinkd_server import read_file

Pair = collections.namedtuple("Pair", "certificate key")

KINDS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
         "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
         "rsa": ["rsa:2048"],
         "ed25519": ["ed25519"]}


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
    return done.stdout


def any_certificate():
    """For a server whose certificate does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Authority:
    def __init__(self, directory, name="sinkd test authority"):
        self.directory = directory
        self.count = 0
        self.certificate, self.key = self.request(
            "ca", "ec", name, ["-addext", "basicConstraints=critical,CA:TRUE"], signed_by=None)

    def path(self, name, ending):
        return os.path.join(self.directory, f"{name}.{ending}")

    def request(self, file, kind, name, options, signed_by, days=30):
        pair = Pair(self.path(file, "pem"), self.path(file, "key"))
        by = ["-CA", signed_by.certificate, "-CAkey", signed_by.key] if signed_by else []
        openssl("req", "-x509", "-nodes", "-newkey", *KINDS[kind], "-subj", f"/CN={name}",
                "-days", str(days), "-keyout", pair.key, "-out", pair.certificate, *by, *options)
        os.chmod(pair.key, 0o600)
        return pair

    def issue(self, file, kind="ec", names=("localhost",), email=None, days=30):
        """A pair of files; names[0] is the CN, all of them are alternative names."""
        names_text = ",".join([f"DNS:{name}" for name in names if "@" not in name]
                              + ([f"email:{email}"] if email else []))
        options = ["-addext", f"subjectAltName={names_text}"] if names_text else []
        return self.request(file, kind, names[0],
                            [*options, "-addext", "basicConstraints=critical,CA:FALSE"],
                            Pair(self.certificate, self.key), days)

    def client(self, pair=None, **attributes):
        """A context of a client that trusts us, and shows this pair if it is asked to."""
        context = ssl.create_default_context(cafile=self.certificate)
        if pair:
            context.load_cert_chain(*pair)
        for name, value in attributes.items():
            setattr(context, name, value)
        return context


def fingerprint(certificate):
    """The SHA-256 fingerprint of a PEM file, as sinkd shows it."""
    return re.search("=(.*)", openssl("x509", "-in", certificate, "-noout", "-fingerprint",
                                      "-sha256"))[1]


def pem_of(certificate):
    """Text for comparisons with what a client got in DER."""
    return ssl.PEM_cert_to_DER_cert(read_file(certificate).decode())
