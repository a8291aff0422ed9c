"""A Kafka that trusts nobody: TLS, credentials and an authorizer, with certificates made for the test."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from agents.broker import EmbeddedKafka
from agents.grants import Grant
from agents.settings import WorkerSettings, load_settings

PASSWORD = "not a password, this is a test"
PLAIN_USER = "plain-worker"
CERTIFIED_USER = "certified-worker"
_LOGIN = "org.apache.kafka.common.security.{}LoginModule required{};"


class SecureKafka:
    """An embedded Kafka with listeners SASL_SSL (SCRAM and PLAIN) and SSL (asks for a certificate).

    Who comes by the plain listener is the administrator; all others may do what they are granted.
    """

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "ca.pem"
        self.client_file = directory / "client.pem"
        server_file = directory / "server.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        _write(authority.issue_cert("127.0.0.1"), server_file)
        _write(authority.issue_cert("worker@shop.example", common_name=CERTIFIED_USER), self.client_file)
        tls = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(server_file)}
        plain = f' user_{PLAIN_USER}="{PASSWORD}"'
        self.broker = EmbeddedKafka(
            directory=directory / "kafka",
            listeners={
                "SASL_SSL": tls
                | {
                    "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
                    "scram-sha-512.sasl.jaas.config": _LOGIN.format("scram.Scram", ""),
                    "plain.sasl.jaas.config": _LOGIN.format("plain.Plain", plain),
                },
                "SSL": tls
                | {
                    "ssl.client.auth": "required",
                    "ssl.truststore.type": "PEM",
                    "ssl.truststore.location": str(self.ca_file),
                    "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
                },
            },
            more_settings={
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
        )

    def start(self) -> None:
        """Start the broker."""
        self.broker.start()
        self.admin = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap)

    def close(self) -> None:
        """End it."""
        self.admin.close()
        self.broker.stop()

    def add_user(self, user: str) -> None:
        """Let a user in by SCRAM."""
        wanted = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, PASSWORD, iterations=4096)
        assert self.admin.alter_user_scram_credentials([wanted]) == {user: None}

    def environment(self, user: str, **settings: str) -> dict[str, str]:
        """Settings by which a user gets in by SCRAM, and others."""
        wanted = {
            "kafka": self.broker.address("SASL_SSL"),
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
            "sasl_password": PASSWORD,
            "ssl_ca_file": str(self.ca_file),
        } | settings
        return {f"CULDESAC_{name.upper()}": value for name, value in wanted.items()}

    def settings(self, user: str, **settings: str) -> WorkerSettings:
        """The same, read."""
        return load_settings(environment=self.environment(user, **settings))

    def certified(self, **settings: str) -> dict[str, str]:
        """Settings by which one gets in by a certificate alone."""
        nothing = {"sasl_mechanism": "", "sasl_username": "", "sasl_password": ""}
        return self.environment(
            CERTIFIED_USER,
            kafka=self.broker.address("SSL"),
            security_protocol="SSL",
            **nothing | {"ssl_certificate_file": str(self.client_file)} | settings,
        )

    def grant(self, user: str, wanted: Iterable[Grant]) -> None:
        """Allow it, and wait until that holds."""
        acls = [acl for grant in wanted for acl in _acls(user, grant)]
        assert len(self.admin.create_acls(acls)["succeeded"]) == len(acls)
        limit = time.monotonic() + 20
        while any(not self.admin.describe_acls(acl)[0] for acl in acls):
            assert time.monotonic() < limit, "rights that were granted do not come into force"
            time.sleep(0.02)

    def revoke(self, user: str, grant: Grant) -> None:
        """Take it back."""
        acls = _acls(user, grant)
        self.admin.delete_acls(acls)
        limit = time.monotonic() + 20
        while any(self.admin.describe_acls(acl)[0] for acl in acls):
            assert time.monotonic() < limit, "rights that were taken back stay"
            time.sleep(0.02)


def _acls(user: str, grant: Grant) -> list[ACL]:
    kind = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}[grant.resource]
    names = {"DescribeConfigs": "DESCRIBE_CONFIGS"}
    return [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[names.get(operation, operation.upper())],
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, grant.name),
        )
        for operation in grant.operations
    ]


def _write(certificate: trustme.LeafCert, file: Path) -> None:
    """Write key and chain as Kafka reads them: the key as PKCS 8."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(pem + b"".join(link.bytes() for link in certificate.cert_chain_pems))
