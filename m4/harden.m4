# SPDX-License-Identifier: BSD-2-Clause

# TCN_HARDEN
# Sets HARDEN_CFLAGS and HARDEN_LDFLAGS to what compiler and linker take of the
# usual flags; tests/lint/hardening.py looks for their traces in the programs.
# Call it when CFLAGS are known.
AC_DEFUN([TCN_HARDEN], [
  TCN_ADD_FLAGS([HARDEN_CFLAGS], [-fPIE -fstack-protector-strong
    -fstack-clash-protection])
  AS_IF([test "$enable_sanitizers" != yes && test "$enable_fuzz" != yes],
    [TCN_FORTIFY([HARDEN_CFLAGS])])
  TCN_ADD_LDFLAGS([HARDEN_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now
    -Wl,-z,noexecstack -Wl,--as-needed])
  AC_SUBST([HARDEN_CFLAGS])
  AC_SUBST([HARDEN_LDFLAGS])
])

# TCN_FORTIFY(VARIABLE)
# Without effect, and with a warning, where nothing is optimized. A compiler that
# asks for more by itself keeps its own.
AC_DEFUN([TCN_FORTIFY], [
  AC_MSG_CHECKING([whether _FORTIFY_SOURCE has an effect])
  tcn_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror -D_FORTIFY_SOURCE=2"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
      #ifndef __OPTIMIZE__
      #error
      #endif
      #include <string.h>]], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 -D_FORTIFY_SOURCE=2"],
    [AC_MSG_RESULT([no])])
  CFLAGS=$tcn_saved_CFLAGS
])

# TCN_ADD_LDFLAGS(VARIABLE, FLAG...)
# Adds to VARIABLE each flag with which the linker links.
AC_DEFUN([TCN_ADD_LDFLAGS], [
  m4_foreach_w([tcn_flag], [$2], [
    AC_MSG_CHECKING([whether $CC links with tcn_flag])
    tcn_saved_CFLAGS=$CFLAGS
    tcn_saved_LDFLAGS=$LDFLAGS
    CFLAGS="$CFLAGS $HARDEN_CFLAGS"
    LDFLAGS="$LDFLAGS -Werror tcn_flag"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes]); $1="$$1 tcn_flag"],
      [AC_MSG_RESULT([no])])
    CFLAGS=$tcn_saved_CFLAGS
    LDFLAGS=$tcn_saved_LDFLAGS
  ])
])
