/* macros.h -- stands in for what <windows.h>, <X11/Xlib.h>, <Arduino.h>, <termios.h>, <complex.h> and
 * their like leave behind: macros of short and common names, here with the meanings that hurt most.
 * Included before bnn.h, with -include or by test_macros.c; the standard headers come first, as they do
 * on such systems. Names that are functions there are functions here: they harm only where a
 * parenthesis follows. */
#ifndef BNN_TEST_MACROS_H
#define BNN_TEST_MACROS_H
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#elif defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#endif

#define BNN_TEST_NO !this_name_is_a_macro_elsewhere!

/* windows.h, windef.h, rpcndr.h, objbase.h, wingdi.h, winerror.h */
#define near
#define far
#define small char
#define hyper __int64
#define interface struct
#define pascal __stdcall
#define cdecl __cdecl
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOID void
#define NEAR
#define FAR
#define PASCAL BNN_TEST_NO
#define CALLBACK BNN_TEST_NO
#define ERROR 0
#define NO_ERROR 0
#define DELETE (0x00010000L)
#define DIFFERENCE 11
#define STRICT 1
#define TRUE 1
#define FALSE 0
#define ABSOLUTE 1
#define RELATIVE 2
#define OPAQUE 2
#define TRANSPARENT 1
#define DOMAIN 1
#define OVERFLOW 3
#define UNDERFLOW 4
#define THIS BNN_TEST_NO
#define PURE BNN_TEST_NO
#define MAX_PATH 260
#define min(a, b) (BNN_TEST_NO)
#define max(a, b) (BNN_TEST_NO)
#define GetObject BNN_TEST_NO
#define DrawText BNN_TEST_NO

/* X11/X.h, Xlib.h */
#define None 0L
#define Bool int
#define Status int
#define True 1
#define False 0
#define Success 0
#define Always 2
#define Never 0
#define Complex 0
#define Nonconvex 1
#define Convex 2
#define Above 0
#define Below 1
#define Opposite 4
#define Unsorted 0
#define KeyPress 2
#define FocusIn 9
#define FocusOut 10
#define Expose 12
#define GrayScale 1
#define CursorShape 0
#define ParentRelative 1L
#define CurrentTime 0L

/* Arduino.h, binary.h, avr/io.h */
#define PI 3.1415926535897932384626433832795
#define HALF_PI 1.57
#define TWO_PI 6.28
#define EULER 2.718281828459045235360287471352
#define HIGH 0x1
#define LOW 0x0
#define INPUT 0x0
#define OUTPUT 0x1
#define DEFAULT 1
#define EXTERNAL 0
#define INTERNAL 3
#define CHANGE 1
#define FALLING 2
#define RISING 3
#define SERIAL 0x0
#define DISPLAY 0x1
#define LSBFIRST 0
#define BIN 2
#define OCT 8
#define DEC 10
#define HEX 16
#define B1 1
#define B11 3
#define B101 5
#define A0 14
#define A1 15
#define A2 16
#define SP (*(volatile unsigned *)0)
#define SREG (*(volatile unsigned char *)0)
#define ADC (*(volatile unsigned *)0)
#define CS00 0
#ifndef abs
#define abs(x) (BNN_TEST_NO)
#endif
#define round(x) (BNN_TEST_NO)
#define radians(deg) (BNN_TEST_NO)
#define degrees(rad) (BNN_TEST_NO)
#define constrain(amt, low, high) (BNN_TEST_NO)
#define sq(x) (BNN_TEST_NO)
#define bit(b) (BNN_TEST_NO)
#define word(x) (BNN_TEST_NO)
#define lowByte(w) (BNN_TEST_NO)
#define highByte(w) (BNN_TEST_NO)
#define bitRead(value, bit) (BNN_TEST_NO)
#define bitSet(value, bit) (BNN_TEST_NO)
#define bitClear(value, bit) (BNN_TEST_NO)
#define bitWrite(value, bit, bitvalue) (BNN_TEST_NO)
#define interrupts() BNN_TEST_NO
#define F(string) BNN_TEST_NO
#define map(x) BNN_TEST_NO

/* termios.h, complex.h, sys/param.h, sys/sysmacros.h, curses.h, tests of other people; and what gcc
 * defines outside -std=c99 */
#define ECHO 0000010
#define B0 0000000
#define B50 0000001
#define NL0 0
#define CR0 0
#define TAB0 0
#define BS0 0
#define ISIG 1
#define I BNN_TEST_NO
#define complex BNN_TEST_NO
#define imaginary BNN_TEST_NO
#define J BNN_TEST_NO
#define MIN(a, b) (BNN_TEST_NO)
#define MAX(a, b) (BNN_TEST_NO)
#define major(dev) BNN_TEST_NO
#define minor(dev) BNN_TEST_NO
#define makedev(x, y) BNN_TEST_NO
#define clear() BNN_TEST_NO
#define move(y, x) BNN_TEST_NO
#define erase() BNN_TEST_NO
#define refresh() BNN_TEST_NO
#define timeout(t) BNN_TEST_NO
#define box(w, v, h) BNN_TEST_NO
#define border(a) BNN_TEST_NO
#define echo() BNN_TEST_NO
#define ERR (-1)
#define OK 0
#define FAIL BNN_TEST_NO
#define YES 1
#define NO 0
#define ON 1
#define OFF 0
#ifndef linux
#define linux 1
#endif
#ifndef unix
#define unix 1
#endif
#ifndef i386
#define i386 1
#endif
#define arm 1
#define mips 1
#define sun 1
#define vax 1
#define sparc 1
#endif
