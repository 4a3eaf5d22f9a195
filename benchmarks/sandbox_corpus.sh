#!/usr/bin/env bash
# Fetches the source texts that `src/burnish/sandbox/detect.npz` was trained on, and trains it again.
# Debian's and npm's own packages, unpacked; nothing of Pygments, whose examples are the test.
# sandbox_corpus.sh FOLDER [OUT.npz]      about 5 GB in FOLDER, half an hour
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
 r-cran-tinytest r-cran-fields r-cran-raster r-base-core
 librust-anyhow-dev librust-chrono-dev librust-clap-dev librust-clap-2-dev librust-clap-3-dev
 librust-crossbeam-dev librust-crossbeam-0.3-dev librust-cursive-dev librust-git2-dev
 librust-hyper-dev librust-image-dev librust-itertools-dev librust-log-dev librust-nom-dev
 librust-nom-4-dev librust-petgraph-dev librust-rand-dev librust-rayon-dev librust-regex-dev
 librust-reqwest-dev librust-serde-dev librust-syn-dev librust-tokio-dev
 golang-github-docker-docker-dev golang-github-fsnotify-fsnotify-dev golang-github-boltdb-bolt-dev
 golang-github-charmbracelet-bubbletea-dev golang-github-gin-gonic-gin-dev
 golang-github-go-chi-chi-dev golang-github-google-go-github-dev golang-github-gorilla-mux-dev
 golang-github-gorilla-websocket-dev golang-github-hashicorp-raft-dev
 golang-github-labstack-echo-dev golang-github-mattn-go-sqlite3-dev
 golang-github-prometheus-client-golang-dev golang-github-spf13-cobra-dev
 golang-github-urfave-cli-dev golang-github-sirupsen-logrus-dev golang-github-stretchr-testify-dev
 qtbase5-examples qtdeclarative5-examples wx3.2-examples libcurl4-doc nlohmann-json3-dev
 libsdl2-gfx-doc libcgal-demo libwxgtk3.2-dev tomcat10-examples libevent-dev glibc-source
 libmicrohttpd-dev libeigen3-dev libvtk9-dev vtk9-examples libpoco-dev libsfml-doc gdb-source
 doxygen-doc libboost1.74-doc mesa-utils libgl1-mesa-dev libsodium-dev python3-numpy libxmljs2"
node="ajv @angular/core apollo-server async @babel/types class-validator d3 date-fns drizzle-orm effect
 ethers express fp-ts graphql hono immer inversify io-ts io-ts-types jest-worker jquery kysely lodash
 mobx moment @nestjs/core neverthrow npm pixi.js prisma react-dom redux remeda rxjs socket.io-client
 superstruct three trpc @trpc/server ts-node ts-pattern tsyringe type-fest typedi typeorm @types/node
 @types/react underscore valibot viem vscode-languageserver vue zod edge-js com.cysharp.unitask
 com.neuecc.unirx jillejr.newtonsoft.json-for-unity @autorest/csharp react-native-windows
 nan node-addon-api leveldown rocksdb better-sqlite3 sharp grpc canvas zeromq bcrypt node-sass
 react-native re2 sqlite3 usb node-hid @serialport/bindings-cpp robotjs @capacitor/android
 cordova-android react-native-svg react-native-webview react-native-device-info react-native-maps
 react-native-fs react-native-camera @react-native-firebase/app react-native-video hnswlib-node
 faiss-node @tensorflow/tfjs-node opencv4nodejs lmdb farmhash microtime deasync ref-napi ffi-napi
 node-expat iconv tree-sitter utf-8-validate react-native-gesture-handler
 react-native-image-picker react-native-ble-plx react-native-push-notification
 react-native-sqlite-storage cordova-plugin-camera cordova-plugin-file cordova-plugin-inappbrowser
 @capacitor/camera nativescript hermes-engine realm node-pty keytar"
(cd "$folder/debs" && for name in $debian; do apt-get download -q "$name"; done)
(cd "$folder/npm" && for name in $node; do npm pack --silent "$name"; done)
for file in "$folder"/debs/*.deb; do
  name=$(basename "$file")
  dpkg -x "$file" "$folder/trees/${name%%_*}"
done
for file in "$folder"/npm/*.tgz; do
  mkdir -p "$folder/trees/$(basename "$file" .tgz)"
  tar xzf "$file" -C "$folder/trees/$(basename "$file" .tgz)"
done
tar xf "$folder"/trees/gcc-12-source*/usr/src/gcc-12/gcc-*.tar.xz -C "$folder/trees"
tar xf "$folder"/trees/linux-source-6.1*/usr/src/linux-source-6.1.tar.xz -C "$folder/trees" \
  --wildcards '*/scripts/*' '*/tools/*' '*/lib/*' '*/samples/*'
tar xf "$folder"/trees/glibc-source/usr/src/glibc/glibc-*.tar.xz -C "$folder/trees"
tar xf "$folder"/trees/gdb-source/usr/src/gdb.tar.* -C "$folder/trees"
find "$folder"/trees/libcgal-demo -name '*.tar.gz' -execdir tar xzf {} \;
find "$folder"/trees \( -name '*.cpp.gz' -o -name '*.c.gz' \) -print0 | xargs -0 -r gunzip -qf
unzip -q -o "$folder"/trees/openjdk-17-source*/usr/lib/jvm/openjdk-17/lib/src.zip -d "$folder/trees/jdk"
PYTHONPATH="$root/benchmarks" "$root/.venv/bin/python" -m language_detection.train "$folder/trees" --out "$out"
