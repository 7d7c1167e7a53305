# SPDX-License-Identifier: BSD-2-Clause

# TCN_ADD_FLAGS(VARIABLE, FLAG...)
# Adds to VARIABLE each compiler flag that the compiler takes.
AC_DEFUN([TCN_ADD_FLAGS], [
  m4_foreach_w([tcn_flag], [$2], [
    AC_MSG_CHECKING([whether $CC takes tcn_flag])
    tcn_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror tcn_flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes]); $1="$$1 tcn_flag"],
      [AC_MSG_RESULT([no])])
    CFLAGS=$tcn_saved_CFLAGS
  ])
])

# TCN_NEED_FLAGS(VARIABLE, FLAGS, WHAT)
# Adds FLAGS to VARIABLE; without a compiler that links with them, ends.
AC_DEFUN([TCN_NEED_FLAGS], [
  AC_MSG_CHECKING([whether $CC links with m4_normalize([$2])])
  tcn_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS m4_normalize([$2])"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 m4_normalize([$2])"],
    [AC_MSG_RESULT([no]); AC_MSG_ERROR([missing: $3])])
  CFLAGS=$tcn_saved_CFLAGS
])

# TCN_NEED(PREFIX, MODULE, DEBIAN-PACKAGE)
# A library found by pkg-config, or the name of what to install.
AC_DEFUN([TCN_NEED], [
  PKG_CHECK_MODULES([$1], [$2], [],
    [AC_MSG_ERROR([$2 was not found: on Debian, apt-get install $3])])
])
