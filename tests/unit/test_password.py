"""The administrator's password as Jenkins keeps it."""

import re

import bcrypt

from components.password import jbcrypt

PASSWORD = "correct-horse-bättery"


def test_the_hash_is_one_that_jenkins_takes_and_is_of_the_password() -> None:
    hashed = jbcrypt(PASSWORD, realm="ci/dev/admin")
    # The pattern is Jenkins' own: no $2b$, two digits of cost, 53 characters.
    assert re.fullmatch(r"#jbcrypt:\$2a\$10\$[./A-Za-z0-9]{53}", hashed)
    assert bcrypt.checkpw(PASSWORD.encode(), hashed.removeprefix("#jbcrypt:").encode())
    assert not bcrypt.checkpw(b"another", hashed.removeprefix("#jbcrypt:").encode())


def test_the_salt_is_the_same_in_every_run_another_for_each_account_and_tells_nothing_about_the_password() -> None:
    hashed = jbcrypt(PASSWORD, realm="ci/dev/admin")
    assert jbcrypt(PASSWORD, realm="ci/dev/admin") == hashed
    assert jbcrypt("something else", realm="ci/dev/admin")[:38] == hashed[:38]
    salts = {jbcrypt(PASSWORD, realm=realm)[:38] for realm in ("ci/dev/admin", "ci/prod/admin", "ci/dev/root")}
    assert len(salts) == 3
