// Package extract finds out from captures what the link did to the frames: which
// were lost, doubled or overtaken, how long they took, how fast the link was and
// when it was gone; and it makes a scenario of it in which the emulator does the
// same to the same device.
//
// With captures of both ends ([Pair]) each frame that one side sent is looked for
// at the other: losses, copies, reordering and delays are exact. With one capture
// ([Single]) they follow from what TCP says about itself, and what cannot be known
// has bounds. What the capturing itself spoiled is said first, and is not held
// against the link.
//
// It looks at one device and its link. It never uses the verdicts or comments that
// hilnet puts into its own recordings. A [Capture] is held in memory, as far as
// [MaxFrames] goes, without its payload. Nothing here keeps a clock or starts a
// goroutine; equal captures give equal conditions.
//
// Reading list: Paxson, "Automated packet trace analysis of TCP implementations"
// (SIGCOMM 1997) and "On calibrating measurements of packet transit times"
// (SIGMETRICS 1998); Moon, Skelly and Towsley, "Estimation and removal of clock
// skew from network delay measurements" (INFOCOM 1999); Allman, Eddy and Ostermann,
// "Estimating loss rates with TCP" (2003); RFC 2883 (DSACK); RFC 3522 (Eifel);
// RFC 4737 (reordering); RFC 6298 (RTO); RFC 6864 (IP identification); RFC 7323
// (timestamps).
package extract
