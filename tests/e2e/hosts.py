"""Several hosts on one machine: network namespaces with names of their own, on one switch whose links can be cut. They
live as long as the process that made them, whatever ends it: each is kept by a `cat` that reads from a pipe of it."""

import os
import shutil
import subprocess
import tempfile
import unittest

from processes import TIMEOUT, command_line, end_all, find_tool, is_rank, processes

TOOLS = ["ip", "unshare", "nsenter"]
NETWORK = "10.213.47"  # nobody sees it but the hosts
# Any port: all jobs' ranks would take the first free ones, and one whose peer was killed speak to the next job's.
NETWORK_VARIABLES = {"OMPI_MCA_btl": "self,vader,tcp", "OMPI_MCA_btl_tcp_if_include": "eth0",
                     "OMPI_MCA_btl_tcp_port_min_v4": "0", "OMPI_MCA_oob_tcp_if_include": "eth0"}


class Refused(Exception):
    """With what the system said."""


def quietly(*words):
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            timeout=TIMEOUT)
    if result.returncode != 0:
        raise Refused(f"{' '.join(words)}: {result.stderr.strip()}")


class Namespace:
    """A network and a host name of its own."""

    def __init__(self, name):
        script = f"hostname {name} && {find_tool('ip')} link set dev lo up && echo up && exec cat"
        self.name = name
        self.keeper = subprocess.Popen([find_tool("unshare"), "--net", "--uts", "sh", "-c", script], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = self.keeper.pid
        if self.keeper.stdout.readline() != "up\n":
            raise Refused(f"{name}: {self.keeper.communicate()[1].strip()}")

    def enter(self, *words):
        """The command that runs `words` there."""
        return [find_tool("nsenter"), f"--target={self.pid}", "--net", "--uts", "--", *words]

    def ip(self, *words):
        quietly(*self.enter(find_tool("ip"), *words))

    def processes(self):
        """All that runs there, but for the keeper."""
        return [pid for pid in processes() if pid != self.pid and namespace_of(pid) == namespace_of(self.pid)]

    def ranks(self):
        return [pid for pid in self.processes() if is_rank(pid)]

    def named(self, name):
        return [pid for pid in self.processes() if command_line(pid).startswith(name + b"\0")]

    def close(self):
        end_all(self.processes)
        self.keeper.communicate()


def namespace_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


class Hosts:
    """host1, host2, ... with a switch between them. Raises unittest.SkipTest, with the reason, where there can be none."""

    def __init__(self, count):
        missing = [name for name in TOOLS if not find_tool(name)]
        if missing:
            raise unittest.SkipTest(f"no {', '.join(missing)}: tools/setup.sh --tests")
        self.folder = tempfile.mkdtemp(prefix="toysweep-hosts-")
        self.namespaces = []
        try:
            self.switch = self.add("switch")
            self.switch.ip("link", "add", "name", "bridge", "type", "bridge")
            self.switch.ip("link", "set", "dev", "bridge", "up")
            self.hosts = [self.add_host(number) for number in range(1, count + 1)]
            self.write_agent()
        except Refused as refused:
            self.stop()
            raise unittest.SkipTest(f"network namespaces are refused here: {refused}") from refused
        except BaseException:
            self.stop()
            raise

    def add(self, name):
        self.namespaces.append(Namespace(name))
        return self.namespaces[-1]

    def add_host(self, number):
        host = self.add(f"host{number}")
        host.address = f"{NETWORK}.{number}"
        host.port = f"port{number}"  # at the switch
        self.switch.ip("link", "add", "name", host.port, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self.switch.ip("link", "set", "dev", host.port, "master", "bridge", "up")
        host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        host.ip("link", "set", "dev", "eth0", "up")
        return host

    def write_agent(self):
        """What mpirun calls in place of ssh: HOST COMMAND..., the command for a shell."""
        self.agent = os.path.join(self.folder, "agent")
        with open(self.agent, "w") as file:
            file.write("#!/bin/sh\nhost=$1\nshift\ncase $host in\n")
            for host in self.hosts:
                file.write(f'{host.name} | {host.address}) exec {" ".join(host.enter("sh", "-c"))} "$*" ;;\n')
            file.write('*) echo "agent: there is no host $host" >&2; exit 1 ;;\nesac\n')
        os.chmod(self.agent, 0o755)

    def environment(self, slots=1):
        """For mpirun on the first host: how to start `slots` ranks on each, in turn."""
        hostfile = os.path.join(self.folder, f"hostfile{slots}")
        with open(hostfile, "w") as file:
            file.writelines(f"{host.name} slots={slots}\n" for host in self.hosts)
        return {**NETWORK_VARIABLES, "OMPI_MCA_plm": "rsh", "OMPI_MCA_plm_rsh_agent": self.agent,
                "OMPI_MCA_orte_default_hostfile": hostfile, "OMPI_MCA_rmaps_base_mapping_policy": "node"}

    def cut(self, host):
        """Nothing gets through any more, and no end is told."""
        self.switch.ip("link", "set", "dev", host.port, "nomaster")

    def heal(self, host):
        self.switch.ip("link", "set", "dev", host.port, "master", "bridge")

    def stop(self):
        """Ends all that runs there. The namespaces go with the last process in them."""
        for namespace in reversed(self.namespaces):
            namespace.close()
        shutil.rmtree(self.folder, ignore_errors=True)
