// Checks a PIN without a connection, against what was kept when it was last right at the server: PBKDF2-HMAC-SHA-256.
// Four digits are found by whoever takes the tablet apart; this keeps out a passer-by, as the server does with a key.

const ROUNDS = 100000; // a tenth of a second on an old tablet
const ROUNDS_BY_HAND = 1000; // over plain http a browser has no WebCrypto, and our own is a hundred times slower

export async function makeVerifier(pin) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const rounds = hasCrypto() ? ROUNDS : ROUNDS_BY_HAND;
  return { salt: hex(salt), rounds, hash: hex(await derive(pin, salt, rounds)) };
}

export async function isRight(pin, verifier) {
  return hex(await derive(pin, bytes(verifier.salt), verifier.rounds)) === verifier.hash;
}

function hasCrypto() {
  return Boolean(window.crypto && crypto.subtle);
}

async function derive(pin, salt, iterations) {
  const password = new TextEncoder().encode(pin);
  if (!hasCrypto()) return pbkdf2(password, salt, iterations);
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256));
}

function hex(data) {
  return Array.from(data, (each) => (each + 256).toString(16).slice(1)).join("");
}

function bytes(text) {
  return new Uint8Array(text.match(/../g).map((each) => parseInt(each, 16)));
}

// FIPS 180-4, RFC 2104 and RFC 8018, for want of WebCrypto

const primes = [];
for (let number = 2; primes.length < 64; number++) {
  if (primes.every((each) => number % each)) primes.push(number);
}
const fraction = (value) => ((value - Math.floor(value)) * 4294967296) | 0;
const START = primes.slice(0, 8).map((each) => fraction(Math.sqrt(each)));
const CONSTANTS = primes.map((each) => fraction(Math.cbrt(each)));

function sha256(data) {
  const length = ((data.length + 9 + 63) >> 6) << 6;
  const padded = new Uint8Array(length);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(length - 4, data.length * 8);
  const state = START.slice();
  const w = new Int32Array(64);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < length; at += 64) {
    for (let i = 0; i < 64; i++) {
      if (i < 16) w[i] = view.getInt32(at + 4 * i);
      else {
        const a = w[i - 15];
        const b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
      }
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + CONSTANTS[i] + w[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((each, i) => { state[i] = (state[i] + each) | 0; });
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((each, i) => out.setInt32(4 * i, each));
  return new Uint8Array(out.buffer);
}

function joined(a, b) {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function pbkdf2(password, salt, iterations) {
  const block = new Uint8Array(64);
  block.set(password); // a PIN is shorter than a block
  const inner = block.map((each) => each ^ 0x36);
  const outer = block.map((each) => each ^ 0x5c);
  const hmac = (data) => sha256(joined(outer, sha256(joined(inner, data))));
  let last = hmac(joined(salt, new Uint8Array([0, 0, 0, 1])));
  const result = last.slice();
  for (let round = 1; round < iterations; round++) {
    last = hmac(last);
    for (let i = 0; i < 32; i++) result[i] ^= last[i];
  }
  return result;
}
