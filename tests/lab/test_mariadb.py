# SPDX-License-Identifier: BSD-2-Clause
"""MariaDB: the server speaks first, and the login's salt differs, so that
the target runs with skip-grant-tables. Afterwards both have the same data."""
import shutil

from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_whole
from waiting import wait_until

CLIENTS = 6
ROWS = 60


class Mariadb:
    def __init__(self, lab, host, port, empty, setup, *more):
        self.lab, self.sock = lab, lab.path(f"mariadb-{host.role}.sock")
        data = lab.path("mariadb-" + host.role)
        shutil.copytree(empty, data)
        with open(data + "/setup.sql", "w") as f:
            f.write(setup)
        self.process = host.popen(
            "mariadbd", "mariadbd", "--no-defaults", "--user=root",
            f"--datadir={data}", f"--socket={self.sock}", f"--port={port}",
            f"--pid-file={data}/pid", "--bind-address=0.0.0.0",
            "--skip-name-resolve", "--innodb-buffer-pool-size=24M",
            "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF",
            f"--init-file={data}/setup.sql", *more)
        self.process.wait_for("ready for connections", 60)

    def ask(self, query):
        return self.lab.client.run(
            "mariadb", "--no-defaults", "-S", self.sock, "-N", "-B", "-u",
            "root", "-e", query).stdout.strip()

    def checksums(self):
        return self.ask("CHECKSUM TABLE " + ", ".join(
            f"lab.t{n}" for n in range(CLIENTS)))


def sql(number):
    """What one client says: its own table, in an order that matters."""
    table = f"t{number}"
    lines = [f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT, v TEXT) "
             "ENGINE=InnoDB;"]
    for n in range(ROWS):
        lines += [
            f"INSERT INTO {table} VALUES ({n}, {n * 7}, "
            f"REPEAT('{number} {n}-', {n * 13 % 400}));",
            f"UPDATE {table} SET n = n * 2 % 99991 + {n} WHERE id <= {n // 2};",
            f"SELECT * FROM {table} WHERE id = {n};"]
        if n % 7 == 3:
            lines.append(f"DELETE FROM {table} WHERE id = {n - 1};")
    return "\n".join(lines) + "\n"


def test_checksums(lab):
    empty = lab.path("mariadb-empty")
    lab.client.run("mariadb-install-db", "--no-defaults", "--user=root",
                   f"--datadir={empty}", "--skip-test-db",
                   "--auth-root-authentication-method=normal", timeout=120)
    online = Mariadb(lab, lab.online, ONLINE_PORT, empty,
                     "CREATE DATABASE lab;\n"
                     "CREATE USER app@'%' IDENTIFIED BY 'secret';\n"
                     "GRANT ALL ON lab.* TO app@'%';\n")
    target = Mariadb(lab, lab.target, TARGET_PORT, empty,
                     "CREATE DATABASE lab;\n", "--skip-grant-tables")
    tap = lab.tap()
    lab.rule()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)

    clients = []
    for number in range(CLIENTS):
        script = lab.path(f"client-{number}.sql")
        with open(script, "w") as f:
            f.write(sql(number))
        clients.append(lab.client.popen(
            "mariadb", "sh", "-c", f"exec mariadb --no-defaults -h "
            f"{lab.online.addr} -P {ONLINE_PORT} -u app -psecret lab "
            f"< {script}"))
    for client in clients:
        assert client.wait(60) == 0, client.err()

    want = online.checksums()
    assert len(set(want.split())) == 2 * CLIENTS and "NULL" not in want
    wait_until(lambda: target.ask("SHOW TABLES IN lab").count("t") == CLIENTS,
               what="the tables on the target")
    wait_until(lambda: target.checksums() == want, what="equal checksums")
    wait_until(lambda: not lab.target.sockets(TARGET_PORT))
    ledger = tcpcopy.finish()
    intercept.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    assert ledger["connections"]["answered"] == CLIENTS
    assert tap.count() == 0
