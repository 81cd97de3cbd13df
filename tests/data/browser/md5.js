// MD5 (RFC 1321) of a text of ASCII, as hexadecimal digits: what digest authentication (RFC 7616) needs.
"use strict";

function md5(text) {
    const bytes = Array.from(text, (c) => c.charCodeAt(0) & 255);
    const bits = bytes.length * 8;
    bytes.push(128);
    while (bytes.length % 64 !== 56) bytes.push(0);
    for (let i = 0; i < 8; i++) bytes.push(i < 4 ? (bits >>> (8 * i)) & 255 : 0);
    const turns = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    const state = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476];
    for (let at = 0; at < bytes.length; at += 64) {
        const word = (i) => bytes[at + i * 4] | bytes[at + i * 4 + 1] << 8 | bytes[at + i * 4 + 2] << 16 | bytes[at + i * 4 + 3] << 24;
        let [a, b, c, d] = state;
        for (let i = 0; i < 64; i++) {
            const round = i >> 4;
            const mix = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
            const place = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] % 16;
            const sum = (a + mix + (Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0) + word(place)) | 0;
            const turn = turns[round][i % 4];
            [a, d, c, b] = [d, c, b, (b + (sum << turn | sum >>> (32 - turn))) | 0];
        }
        [a, b, c, d].forEach((part, i) => { state[i] = (state[i] + part) | 0; });
    }
    const hex = (n) => [0, 8, 16, 24].map((shift) => ((n >>> shift) & 255).toString(16).padStart(2, "0")).join("");
    return state.map(hex).join("");
}
