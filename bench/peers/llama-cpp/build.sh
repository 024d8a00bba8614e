#!/usr/bin/env bash
# build.sh DIRECTORY: brings llama.cpp's sources, as llama-cpp-python carries them, and builds the driver twice:
# DIRECTORY/native/driver for this processor, DIRECTORY/wasm/driver.cjs (and .wasm) with emscripten.
# Needs pip, cmake, ninja, a C++ compiler and emcc; from emcc 3.1.6 on.
set -euo pipefail
version=0.3.36
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
if [ ! -d "llama_cpp_python-$version" ]; then
  python3 -m venv pip
  pip/bin/pip download --quiet --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version"
  tar xzf "llama_cpp_python-$version.tar.gz"
fi
options=(-G Ninja -DCMAKE_BUILD_TYPE=Release "-DLLAMA_SOURCE=$PWD/llama_cpp_python-$version/vendor/llama.cpp")
cmake -S "$here" -B native "${options[@]}" -DGGML_NATIVE=ON
cmake --build native --target driver
# Emscripten's toolchain file says that the processor is an x86, for which ggml compiles no kernels but the plain ones.
emcmake cmake -S "$here" -B wasm "${options[@]}" -DEMSCRIPTEN_SYSTEM_PROCESSOR=wasm32
# Debian's emscripten needs the acorn of its package node-acorn, which another Node does not look for there.
NODE_PATH=/usr/share/nodejs cmake --build wasm --target driver
