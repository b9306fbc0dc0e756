# Ends a build whose root would be root on the node: a runtime that knows no user namespaces says nothing of them.
read -r inside outside ids < /proc/self/uid_map
if [ "$inside" != 0 ] || [ "$outside" -lt 65536 ] || [ "$ids" -lt 65536 ]; then
  echo "this pod has no user namespace, though ci:kubernetes.isolation is userNamespaces: its uid_map is $inside $outside $ids"
  echo 'the node needs Kubernetes 1.33, containerd 2.0 or CRI-O 1.25, runc 1.2 or crun 1.9, and Linux 6.3, or newer'
  exit 1
fi
