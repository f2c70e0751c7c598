#include "textflag.h"

// func PrefetchWrite(word *atomic.Uint32)
TEXT ·PrefetchWrite(SB), NOSPLIT, $0-8
	MOVQ word+0(FP), AX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08 // PREFETCHW (AX): the assembler has no name for it
	RET

// func PrefetchRead(word *atomic.Uint32)
TEXT ·PrefetchRead(SB), NOSPLIT, $0-8
	MOVQ word+0(FP), AX
	PREFETCHT0 (AX)
	RET
