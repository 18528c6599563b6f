#!/usr/bin/env python3
"""Who may include whom: each room only those before it, siblings never each other,
and each library only in the one file that wraps it."""

import re

from lint import conclude, tree

MAY_INCLUDE = {
    "api": {"api"},
    "base": {"api", "base"},
    "smtp": {"api", "base", "smtp"},
    "policy": {"api", "base", "smtp", "policy"},
    "delivery": {"api", "base", "smtp", "delivery"},
    "net": {"api", "base", "smtp", "net"},
    "config": {"api", "base", "smtp", "policy", "delivery", "net", "config"},
    "keys": {"api", "base", "smtp", "policy", "delivery", "net", "config", "keys"},
    "spawn": {"base", "smtp", "delivery", "spawn"},
    "proc": {"api", "base", "smtp", "policy", "delivery", "net", "config", "keys", "spawn",
             "proc"},
    # Of the server only what both sides must know.
    "ctl": {"base", "ctl", "policy/users.h", "proc/control.h", "proc/runtime.h",
            "smtp/session.h"},
}
MAY_INCLUDE["mains"] = set(MAY_INCLUDE)
ONLY_IN = {
    "dlfcn.h": {"src/policy/module.c"},
    "confuse.h": {"src/config/schema.c"},
    "seccomp.h": {"src/proc/sandbox.c"},
    "gsasl.h": {"src/policy/sasl.c", "src/policy/scram.c"},
    "crypt.h": {"src/policy/crypt_hash.c"},
    "gnutls/gnutls.h": {"src/net/certificate.c", "src/net/tls.c", "src/net/tls_context.h",
                        "src/net/tls_peer.h", "src/net/tls_session.c", "src/net/remote_key.c",
                        "src/keys/private_key.c", "src/keys/self_signed.c",
                        "src/keys/signer.c"},
}


def room_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "mains"


def complaints(files):
    for path, text in files.items():
        room = room_of(path)
        for form, name in re.findall(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.M):
            if form == "<":
                if path not in ONLY_IN.get(name, {path}):
                    yield f"{path}: only {', '.join(ONLY_IN[name])} includes <{name}>"
            elif "/" not in name:
                yield f'{path}: "{name}" does not name its room'
            elif not {name, name.split("/")[0]} & MAY_INCLUDE.get(room, set()):
                yield f'{path}: room {room} must not include "{name}"'


PLANTED = [
    {"src/base/planted.c": '#include "smtp/session.h"\n'},
    {"src/net/planted.h": '#  include "delivery/delivery.h"\n'},
    {"src/config/planted.c": "#include <confuse.h>\n"},
    {"src/ctl/planted.c": '#include "proc/master.h"\n'},
    {"src/attic/planted.c": '#include "base/str.h"\n'},
]
conclude(list(complaints(tree("src"))), [list(complaints(files)) for files in PLANTED])
