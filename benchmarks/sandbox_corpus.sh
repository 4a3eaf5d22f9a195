#!/usr/bin/env bash
# Fetches the source texts that `src/burnish/sandbox/detect.npz` was trained on, and trains it again.
# Debian's and npm's own packages, unpacked; nothing of Pygments, whose examples are the test.
# sandbox_corpus.sh FOLDER [OUT.npz]      about 2 GB in FOLDER, a quarter of an hour
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"/{debs,npm,trees}
folder=$(cd "$1" && pwd) out=${2:-$folder/detect.npz}
debian="gcc-12-source openjdk-17-source nmap-common prosody luarocks lua-penlight rust-src wordpress
 phpmyadmin php-symfony-console php-symfony-http-kernel php-twig php-doctrine-orm php-monolog
 node-typescript git awesome-extra awesome linux-source-6.1 ruby-rails ruby-activerecord
 ruby-activesupport ruby-sinatra ruby-rspec-core ruby-nokogiri puppet vagrant jekyll rake
 libmoose-perl libmojolicious-perl liblog-log4perl-perl libdatetime-perl swig4.0-examples
 golang-1.19-src bash-completion libruby3.1 perl-modules-5.36 libpython3.11-stdlib
 r-cran-ggplot2 r-cran-dplyr r-cran-testthat r-cran-knitr r-cran-lme4 r-cran-data.table
 r-cran-survival r-cran-mass r-cran-matrix r-cran-mgcv r-cran-boot r-cran-shiny r-cran-rcpp
 r-cran-nlme r-cran-cluster r-cran-lattice r-cran-zoo r-cran-xts r-cran-sp r-cran-igraph
 r-cran-vegan r-cran-ape r-cran-forecast r-cran-spatstat r-cran-psych r-cran-quantreg r-cran-evaluate r-cran-r6
 r-cran-plyr r-cran-party r-cran-car r-cran-effects r-cran-sandwich r-cran-multcomp
 r-cran-tinytest r-cran-fields r-cran-raster r-base-core"
node="ajv @angular/core apollo-server async @babel/types class-validator d3 date-fns drizzle-orm effect
 ethers express fp-ts graphql hono immer inversify io-ts io-ts-types jest-worker jquery kysely lodash
 mobx moment @nestjs/core neverthrow npm pixi.js prisma react-dom redux remeda rxjs socket.io-client
 superstruct three trpc @trpc/server ts-node ts-pattern tsyringe type-fest typedi typeorm @types/node
 @types/react underscore valibot viem vscode-languageserver vue zod edge-js com.cysharp.unitask
 com.neuecc.unirx jillejr.newtonsoft.json-for-unity @autorest/csharp react-native-windows"
(cd "$folder/debs" && for name in $debian; do apt-get download -q "$name"; done)
(cd "$folder/npm" && for name in $node; do npm pack --silent "$name"; done)
for file in "$folder"/debs/*.deb; do dpkg -x "$file" "$folder/trees/$(basename "$file" .deb)"; done
for file in "$folder"/npm/*.tgz; do
  mkdir -p "$folder/trees/$(basename "$file" .tgz)"
  tar xzf "$file" -C "$folder/trees/$(basename "$file" .tgz)"
done
tar xf "$folder"/trees/gcc-12-source*/usr/src/gcc-12/gcc-*.tar.xz -C "$folder/trees"
tar xf "$folder"/trees/linux-source-6.1*/usr/src/linux-source-6.1.tar.xz -C "$folder/trees" \
  --wildcards '*/scripts/*' '*/tools/*' '*/lib/*' '*/samples/*'
unzip -q -o "$folder"/trees/openjdk-17-source*/usr/lib/jvm/openjdk-17/lib/src.zip -d "$folder/trees/jdk"
"$root/.venv/bin/python" -m burnish.sandbox.detect_train "$folder/trees" --out "$out"
