"""How a cluster is reached: from a kubeconfig's text or path, the user's own kubeconfig, or from within a pod."""

from __future__ import annotations

import ssl
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rpc import PluginError
from . import kubeconfig, library

if TYPE_CHECKING:
    import urllib3

    from .kubeconfig import Kubeconfig

# As many connections are kept as one update may have requests under way at once.
_CONNECTIONS = 64
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SETUP = "https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/"


class UnreachableError(PluginError):
    """There is no cluster to act on: no kubeconfig, a broken one, or nobody who answers."""


@dataclass(frozen=True)
class Choice:
    """What the provider was told about its cluster; "" leaves it to the kubeconfig."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class Connection:
    """A cluster's address, and the way to it.

    Attributes:
        server: the API server's address, "https://10.0.0.1:6443".
        namespace: the namespace of objects that name none.
        pool: keeps the connections.
        configuration: the official client's; gives the current token, which a plugin may have to renew.
    """

    server: str
    namespace: str
    pool: urllib3.PoolManager
    configuration: Any

    def authorization(self) -> str:
        """Give the Authorization header's value, "" when the certificate is all there is."""
        return str(self.configuration.auth_settings().get("BearerToken", {}).get("value") or "")


def connect(choice: Choice, *, timeout_seconds: float | None = None) -> Connection:
    """Find the cluster's address and credentials. Asks the cluster nothing yet.

    Raises:
        UnreachableError: there is no kubeconfig, or it cannot be used.
    """
    given = bool(choice.kubeconfig)
    try:
        read = kubeconfig.parse(choice.kubeconfig) if given else kubeconfig.users_own()
    except PluginError as error:
        reason = f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {error}"
        raise UnreachableError(reason if given else _no_configuration(str(error))) from None
    configuration_module, kube_config, in_cluster = library.load()
    configuration = configuration_module.Configuration()
    # Keys in the kubeconfig become files, which OpenSSL wants; they are gone as soon as it has read them.
    with tempfile.TemporaryDirectory(prefix="pulumi-kubernetes-") as private:
        try:
            if read.content:
                namespace = _load(kube_config, read, choice, private, configuration)
            else:
                in_cluster.load_incluster_config(client_configuration=configuration)
                namespace = choice.namespace or _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
            pool = _pool(configuration, timeout_seconds)
        except (kube_config.ConfigException, PluginError, OSError, ValueError, KeyError, TypeError) as error:
            raise UnreachableError(_no_configuration(_reason(error, empty=not read.content))) from None
    return Connection(str(configuration.host).rstrip("/"), namespace, pool, configuration)


def _no_configuration(reason: str) -> str:
    return (
        "unable to load Kubernetes client configuration from kubeconfig file. Make sure you have: \n\n"
        f" \t • set up the provider as per {_SETUP} \n\n {reason}"
    )


def _reason(error: Exception, *, empty: bool) -> str:
    if empty:
        return (
            "invalid configuration: no configuration has been provided: there is no ~/.kube/config, KUBECONFIG is not "
            "set, and this is not a pod; set `kubeconfig` (kubernetes:kubeconfig, or Provider(kubeconfig=...))"
        )
    text = str(error) if not isinstance(error, KeyError) else f"the kubeconfig lacks {error}"
    return f"invalid configuration: {text}"


def _load(module: Any, read: Kubeconfig, choice: Choice, private: str, configuration: Any) -> str:
    """Load a kubeconfig into the client's configuration; give the namespace of objects that name none."""
    name = choice.context or read.content.get("current-context") or ""
    context = read.context(name)
    if context is None:
        known = ", ".join(str(entry.get("name")) for entry in read.content.get("contexts") or ()) or "none"
        raise PluginError(f'context "{name}" does not exist in the kubeconfig; it has: {known}')
    if not (read.cluster(name, choice.cluster) or {}).get("server"):
        wanted = choice.cluster or context.get("cluster")
        raise PluginError(f'the kubeconfig has no cluster "{wanted}" with a `server`')
    content = dict(read.content)
    if choice.cluster:
        content["contexts"] = [{"name": name, "context": {**context, "cluster": choice.cluster}}]
    loader = module.KubeConfigLoader(content, active_context=name, config_base_path=read.folder, temp_file_path=private)
    loader.load_and_set(configuration)
    plugin = read.user(name).get("exec")
    if plugin and not configuration.api_key and not configuration.cert_file:
        raise PluginError(f"the kubeconfig's credential plugin {plugin.get('command')} gave no credentials")
    return choice.namespace or str(context.get("namespace") or "default")


def _pool(configuration: Any, timeout_seconds: float | None) -> urllib3.PoolManager:
    import urllib3  # noqa: PLC0415 (the plugin's start need not wait for it)

    host = urllib3.util.parse_url(configuration.host)
    named: dict[str, Any] = {
        "num_pools": 2,
        "maxsize": _CONNECTIONS,
        # Reading may take what the API server allows for itself, 60 s, and a little.
        "timeout": urllib3.Timeout(connect=timeout_seconds or 10, read=timeout_seconds or 70),
        "retries": False,
    }
    if host.scheme == "https":
        named["ssl_context"] = _tls(configuration)
        if configuration.tls_server_name:
            named["server_hostname"] = named["assert_hostname"] = configuration.tls_server_name
    proxy = urllib.request.getproxies().get(host.scheme or "https")
    if proxy and not urllib.request.proxy_bypass(host.host or ""):
        return urllib3.ProxyManager(proxy, **named)
    return urllib3.PoolManager(**named)


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:  # `insecure-skip-tls-verify`, asked for by name
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    # Clusters' own authorities are often older than the strictness of today's OpenSSL.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
