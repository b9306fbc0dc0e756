# Gives containerd, and all that share its mounts, folders of the lab's own in the places that can't be set.
set -e
data=$1 run=$2
shift 2
# What is mounted in here goes when the last process does, however it ends; pods may hand mounts on among themselves.
mount --make-rshared /
mkdir -p /var/lib/cni /run/containerd
mount --bind "$data/cni" /var/lib/cni
mount --bind "$data/log" /var/log
mount --bind "$run/shims" /run/containerd
mount --bind "$data/kubelet" "$run/kubelet"
exec "$@"
