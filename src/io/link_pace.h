/* SPDX-License-Identifier: BSD-2-Clause */
/* A link's congestion control. */
#ifndef IO_LINK_PACE_H
#define IO_LINK_PACE_H

/* Has a connection over a short way send with no pace that counts: bbr gives
 * each packet a moment of its own, and with a large upload a seventh of
 * tcpcopy's time is the timer for it and being woken (docs/performance.md). On
 * a long way bbr stays, which lost packets slow down less than reno. Of another
 * algorithm nothing is changed, nor where the kernel refuses. */
void link_pace_choose(int fd);

#endif
