# SPDX-License-Identifier: BSD-2-Clause
"""nginx on a server of the lab, and an HTTP client that checks its answers."""
import collections
import hashlib
import os
import threading

from hosts import CLIENTS
from lab import ONLINE_PORT
from waiting import wait_until

CONF = """
daemon off; user root; worker_processes 1; pid {dir}/pid;
error_log {dir}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  log_format ids '$arg_id $request_method $uri $status $request_length '
                 '$body_bytes_sent';
  access_log {dir}/access.log ids;
  client_body_temp_path {dir}/bodies; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fcgi; uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  client_max_body_size 64m; keepalive_requests {keepalive_requests};
  sendfile on; etag off; default_type text/plain;
  server {{
    listen 0.0.0.0:{port} backlog=4096; listen [::]:{port} backlog=4096;
    root {dir}/files;
    location = /small {{ return 200 "small\\n"; }}
    location /post {{
      client_body_in_file_only on;
      proxy_pass http://unix:{dir}/sink;
    }}
  }}
  server {{
    listen unix:{dir}/sink; access_log off;
    location / {{ return 200 "taken\\n"; }}
  }}
}}
"""
FILES = {"1k": 1000, "100k": 100000, "3m": 3000000}


class Nginx:
    def __init__(self, lab, host, port, keepalive_requests=1000000):
        self.dir = lab.path("nginx-" + host.role)
        os.makedirs(self.dir + "/files")
        for name, size in FILES.items():
            with open(f"{self.dir}/files/{name}", "wb") as f:
                f.write(content(name))
        with open(self.dir + "/conf", "w") as f:
            f.write(CONF.format(dir=self.dir, port=port,
                                keepalive_requests=keepalive_requests))
        self.process = host.popen("nginx", "nginx", "-p", self.dir, "-e",
                                  self.dir + "/error.log", "-c",
                                  self.dir + "/conf")
        wait_until(lambda: host.run("ss", "-Hltn", f"sport = :{port}").stdout,
                   what="nginx")

    def lines(self):
        with open(self.dir + "/access.log") as f:
            return sorted(f.read().splitlines())

    def bodies(self):
        """How often each uploaded body came."""
        found = collections.Counter()
        for name in os.listdir(self.dir + "/bodies"):
            with open(f"{self.dir}/bodies/{name}", "rb") as f:
                found[hashlib.sha256(f.read()).hexdigest()] += 1
        return found


def content(name):
    return (name.encode() * FILES[name])[:FILES[name]]


def get(path, number, close=False):
    ending = "Connection: close\r\n" if close else ""
    return (f"GET {path}?id={number} HTTP/1.1\r\nHost: lab\r\n"
            f"User-Agent: lab/1\r\n{ending}\r\n").encode()


def post(number, body):
    return (f"POST /post?id={number} HTTP/1.1\r\nHost: lab\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def read_answer(stream):
    """Status and body of the next one."""
    status = stream.readline()
    assert status.startswith(b"HTTP/1.1 "), status
    length = 0
    while True:
        line = stream.readline().strip()
        if not line:
            break
        key, _, value = line.partition(b":")
        if key.lower() == b"content-length":
            length = int(value)
    body = stream.read(length)
    assert len(body) == length
    return int(status.split()[1]), body


def run_clients(lab, count, script, to=None):
    """script(stream, send, number) in a thread for each of count clients."""
    to = to or (lab.online.addr, ONLINE_PORT)
    faults = []

    def client(number):
        def connect():
            sock = lab.client.connect(to, CLIENTS[number % len(CLIENTS)])
            return sock, sock.makefile("rb")
        try:
            script(connect, number)
        except Exception as fault:  # told to the test below
            faults.append(fault)

    threads = [threading.Thread(target=client, args=(n,))
               for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
