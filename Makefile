# The front door: each command installs what is missing, builds what changed, and runs. CMake does the work.
.PHONY: help demo build test check format install clean
PREFIX = /usr/local
MODEL = models/irori-tiny-f16.gguf
FLAGS =
PROMPT = Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse.
JOBS = $$(getconf _NPROCESSORS_ONLN)
CONFIGURE = tools/deps.sh && { test -f build/release/build.ninja || cmake --preset release $(FLAGS) >/dev/null; }

help:
	@echo 'make demo     talk to the small model that comes along (MODEL=FILE for another)'
	@echo 'make test     build all, run every test'
	@echo 'make build    build the program: build/release/irori'
	@echo 'make check    style, layers, warnings as errors, tests under sanitizers'
	@echo 'make format   put the C files into the style of .clang-format'
	@echo 'make install  into PREFIX ($(PREFIX))'
	@echo 'make clean    remove build/'

build:
	@$(CONFIGURE) && cmake --build build/release --target irori

demo: build
	@if [ -t 0 ] && [ -t 1 ]; then echo 'Try: $(PROMPT)' && build/release/irori chat $(MODEL); \
	else build/release/irori run $(MODEL) -p '$(PROMPT)' -n 64 --temp 0; fi

test:
	@$(CONFIGURE) && cmake --build build/release && \
	ctest --test-dir build/release -j $(JOBS) --output-on-failure --no-label-summary

check:
	@tools/deps.sh build check && tools/check.sh format layers werror asan

format:
	@tools/deps.sh build check && git ls-files '*.[ch]' | xargs clang-format-14 -i

install: build
	@cmake --build build/release && cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build
