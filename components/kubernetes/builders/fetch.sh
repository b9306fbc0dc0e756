cd /context
export HOME=/tmp/home
mkdir -p "$HOME" source
if [ -e /trust/ca.crt ]; then
  cat /etc/ssl/certs/ca-certificates.crt /trust/ca.crt > "$HOME/ca.crt"
  export GIT_SSL_CAINFO="$HOME/ca.crt"
fi
cd source
git -c init.defaultBranch=main init --quiet
git remote add origin "$REPOSITORY"
if [ -e /secrets/git/token ]; then
  # For this host alone: git would give the token to each one that asks for it, as where a redirect leads.
  host=$(echo "$REPOSITORY" | cut -d / -f 1-3)
  git config "credential.$host.helper" '!f() { echo "username=$GIT_USER"; echo "password=$(cat /secrets/git/token)"; }; f'
fi
# Some servers refuse to send a single commit by its hash. Then fetch all branches and tags.
if git fetch --quiet --depth 1 origin "$REF"; then
  git checkout --quiet --detach FETCH_HEAD
else
  git fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*'
  git checkout --quiet --detach "$REF"
fi
echo "commit $(git rev-parse HEAD)"
rm -rf .git
