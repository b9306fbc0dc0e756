# Ends the build if a path leads out of a folder, as by a symbolic link: the pod has secrets there.
inside() {
  case $(readlink -f "$2") in "$(readlink -f "$1")"|"$(readlink -f "$1")"/*) return 0 ;; esac
  echo "$2 leads out of $1, or is in no folder that there is"
  exit 1
}
