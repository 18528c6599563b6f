# SINKD_ADD_FLAG(VARIABLE, FLAG): append FLAG to VARIABLE when compiler and
# linker take it.  -Werror, since clang only warns about a flag it does not know.
AC_DEFUN([SINKD_ADD_FLAG], [
	AS_VAR_PUSHDEF([cached], [sinkd_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cached], [
		sinkd_saved="$CFLAGS"
		CFLAGS="$CFLAGS -Werror $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM()],
			[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
		CFLAGS="$sinkd_saved"])
	AS_VAR_IF([cached], [yes], [$1="$$1 $2"])
	AS_VAR_POPDEF([cached])
])

# SINKD_COMPILER_FLAGS: warnings, hardening and sanitizers, each flag probed.
# Sets WARN_CFLAGS, HARDEN_CFLAGS, HARDEN_CPPFLAGS, HARDEN_LDFLAGS; and LTO_CFLAGS, for
# the server alone: its objects hold machine code too, which the tests link.
AC_DEFUN([SINKD_COMPILER_FLAGS], [
	WARN_CFLAGS= HARDEN_CFLAGS= HARDEN_CPPFLAGS= HARDEN_LDFLAGS= LTO_CFLAGS=
	SINKD_ADD_FLAG([WARN_CFLAGS], [-std=gnu11])
	m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
		-Wvla -Walloca -Wformat=2 -Wpointer-arith -Wwrite-strings -Wcast-qual -Wundef
		-Wswitch-enum -Wconversion -Wnull-dereference -Wimplicit-fallthrough
		-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wstack-usage=16384],
		[SINKD_ADD_FLAG([WARN_CFLAGS], flag)])
	AS_IF([test "x$enable_strict" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])

	m4_foreach_w([flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection
		-ftrivial-auto-var-init=zero -fPIE],
		[SINKD_ADD_FLAG([HARDEN_CFLAGS], flag)])
	m4_foreach([flag], [[-pie], [-Wl,-z,relro], [-Wl,-z,now], [-Wl,-z,noexecstack]],
		[SINKD_ADD_FLAG([HARDEN_LDFLAGS], m4_defn([flag]))])

	AS_IF([test "x$enable_sanitizers" = xyes], [
		# Fortified wrappers hide accesses from the sanitizers; their own frames
		# are larger than ours may be.
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-fsanitize=address,undefined])
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-fno-sanitize-recover=all])
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-fno-omit-frame-pointer])
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-Wno-stack-usage])
		HARDEN_CPPFLAGS="-U_FORTIFY_SOURCE"
		AC_DEFINE([WITH_SANITIZERS], [1], [Built with address and undefined sanitizers])
	], [
		HARDEN_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
	])
	AS_IF([test "x$enable_fuzzing" = xyes], [
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-fsanitize=fuzzer-no-link])
		# Watching comparisons takes half the time and finds nothing more: the
		# words to compare with are in the dictionaries.
		SINKD_ADD_FLAG([HARDEN_CFLAGS], [-fno-sanitize-coverage=trace-cmp])
	])
	AS_IF([test "x$enable_sanitizers$enable_fuzzing" = xnono],
		[SINKD_ADD_FLAG([LTO_CFLAGS], [-flto=auto -ffat-lto-objects])])
	AC_SUBST([WARN_CFLAGS]) AC_SUBST([HARDEN_CFLAGS]) AC_SUBST([LTO_CFLAGS])
	AC_SUBST([HARDEN_CPPFLAGS]) AC_SUBST([HARDEN_LDFLAGS])
])
