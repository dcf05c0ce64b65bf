// pkcs11js in front of a token, its calls made from Node's threads: node -e THIS MODULE PIN. Prints what it found good.
// What the token made is checked by Node's own crypto, which knows nothing of it.
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const pkcs11js = require("pkcs11js");

const [path, pin] = process.argv.slice(1);
const SESSIONS = 12;
const FLAGS = pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION;
const P256 = Buffer.from("06082a8648ce3d030107", "hex");

const token = new pkcs11js.PKCS11();
token.load(path);
token.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK });
const [slot] = token.C_GetSlotList(true);
const sessions = Array.from({ length: SESSIONS }, () => token.C_OpenSession(slot, FLAGS));
token.C_Login(sessions[0], pkcs11js.CKU_USER, pin);

// One of these at a time in each session, all sessions at once.
const inEach = (work) => Promise.all(sessions.map(work));

async function signatures() {
  await inEach(async (session, number) => {
    const pair = await token.C_GenerateKeyPairAsync(session, { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN },
      [{ type: pkcs11js.CKA_EC_PARAMS, value: P256 }, { type: pkcs11js.CKA_VERIFY, value: true }],
      [{ type: pkcs11js.CKA_SIGN, value: true }]);
    const [{ value: point }] = token.C_GetAttributeValue(session, pair.publicKey, [{ type: pkcs11js.CKA_EC_POINT }]);
    const [x, y] = [point.subarray(3, 35), point.subarray(35, 67)].map((half) => half.toString("base64url"));
    const key = crypto.createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
    for (let turn = 0; turn < 20; turn++) {
      const message = Buffer.from(`message ${number} ${turn}`);
      const digest = crypto.createHash("sha256").update(message).digest();
      token.C_SignInit(session, { mechanism: pkcs11js.CKM_ECDSA }, pair.privateKey);
      const signature = await token.C_SignAsync(session, digest, Buffer.alloc(200));
      assert.equal(signature.length, 64);
      assert(crypto.verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature));
      token.C_VerifyInit(session, { mechanism: pkcs11js.CKM_ECDSA }, pair.publicKey);
      assert.equal(await token.C_VerifyAsync(session, digest, signature), true);
    }
  });
  console.log("signatures");
}

async function ciphers() {
  const value = crypto.randomBytes(32);
  const key = token.C_CreateObject(sessions[0], [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_VALUE, value },
    { type: pkcs11js.CKA_ENCRYPT, value: true },
    { type: pkcs11js.CKA_DECRYPT, value: true },
  ]);
  await inEach(async (session, number) => {
    const text = crypto.randomBytes(100_000 + number);
    const iv = crypto.randomBytes(12);
    const aad = Buffer.from(`session ${number}`);
    const parameter = { type: pkcs11js.CK_PARAMS_AES_GCM, iv, aad, ivBits: 96, tagBits: 128 };
    const mechanism = { mechanism: pkcs11js.CKM_AES_GCM, parameter };
    token.C_EncryptInit(session, mechanism, key);
    const sealed = await token.C_EncryptAsync(session, text, Buffer.alloc(text.length + 100));
    const cipher = crypto.createCipheriv("aes-256-gcm", value, iv).setAAD(aad);
    assert(sealed.equals(Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()])));
    token.C_DecryptInit(session, mechanism, key);
    assert((await token.C_DecryptAsync(session, sealed, Buffer.alloc(sealed.length))).equals(text));
  });
  console.log("ciphers");
}

async function digests() {
  await inEach(async (session, number) => {
    const text = crypto.randomBytes(10_000 * number);
    token.C_DigestInit(session, { mechanism: pkcs11js.CKM_SHA384 });
    const once = await token.C_DigestAsync(session, text, Buffer.alloc(100));
    token.C_DigestInit(session, { mechanism: pkcs11js.CKM_SHA384 });
    token.C_DigestUpdate(session, text);
    const inParts = await token.C_DigestFinalAsync(session, Buffer.alloc(100));
    const expected = crypto.createHash("sha384").update(text).digest();
    assert(once.equals(expected) && inParts.equals(expected));
  });
  console.log("digests");
}

async function wrapping() {
  const uses = [pkcs11js.CKA_WRAP, pkcs11js.CKA_UNWRAP].map((type) => ({ type, value: true }));
  const size = { type: pkcs11js.CKA_VALUE_LEN, value: 32 };
  await inEach(async (session) => {
    const generator = { mechanism: pkcs11js.CKM_AES_KEY_GEN };
    const over = await token.C_GenerateKeyAsync(session, generator, [size, ...uses]);
    const shown = [{ type: pkcs11js.CKA_EXTRACTABLE, value: true }, { type: pkcs11js.CKA_SENSITIVE, value: false }];
    const key = await token.C_GenerateKeyAsync(session, generator, [size, ...shown]);
    const wrap = { mechanism: pkcs11js.CKM_AES_KEY_WRAP };
    const wrapped = await token.C_WrapKeyAsync(session, wrap, over, key, Buffer.alloc(100));
    assert.equal(wrapped.length, 40);
    const back = await token.C_UnwrapKeyAsync(session, wrap, over, wrapped, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES }, ...shown,
    ]);
    const [[{ value: before }], [{ value: after }]] =
      [key, back].map((handle) => token.C_GetAttributeValue(session, handle, [{ type: pkcs11js.CKA_VALUE }]));
    assert(before.length === 32 && before.equals(after));
  });
  console.log("wrapping");
}

async function refusals() {
  const code = (expected) => (fault) => fault instanceof pkcs11js.Pkcs11Error && fault.code === expected;
  const [session] = sessions;
  token.C_DigestInit(session, { mechanism: pkcs11js.CKM_SHA256 });
  await assert.rejects(token.C_DigestAsync(session, Buffer.from("abc"), Buffer.alloc(5)),
    code(pkcs11js.CKR_BUFFER_TOO_SMALL));
  assert.equal((await token.C_DigestAsync(session, Buffer.from("abc"), Buffer.alloc(32))).length, 32);
  await assert.rejects(token.C_DigestAsync(session, Buffer.from("abc"), Buffer.alloc(32)),
    code(pkcs11js.CKR_OPERATION_NOT_INITIALIZED));
  token.C_Logout(session);
  assert.throws(() => token.C_Login(session, pkcs11js.CKU_USER, "wrong-pin"), code(pkcs11js.CKR_PIN_INCORRECT));
  console.log("refusals");
}

(async () => {
  for (const part of [signatures, ciphers, digests, wrapping, refusals]) await part();
  token.C_CloseAllSessions(slot);
  token.C_Finalize();
  token.close();
})();
