import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.RSAPrivateCrtKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Every service that SunPKCS11 offers of the token does what Java's own providers do with the same keys: what one makes
 * the other reads, and what was tampered with is refused. A service that nothing here knows is a failure.
 */
public final class Services {
    private static final List<String> CURVES = List.of("secp256r1", "secp384r1", "secp521r1");
    private static final Map<String, int[]> LENGTHS = Map.of("AES", new int[] {16, 24, 32}, "DESede", new int[] {24});
    private static final int[] SIZES = {0, 1, 15, 16, 17, 64, 4096, 70_000};

    private final Token token;
    private final Provider provider;
    private final SecureRandom random = new SecureRandom();
    /** Pairs of the token's, and pairs of Java's own. */
    private final Map<String, KeyPair> inside = new HashMap<>();
    private final Map<String, KeyPair> outside = new HashMap<>();

    private Services(Token token) throws Exception {
        this.token = token;
        provider = token.provider;
        for (String curve : CURVES) {
            inside.put(curve, pair("EC", new ECGenParameterSpec(curve), provider.getName()));
            outside.put(curve, pair("EC", new ECGenParameterSpec(curve), "SunEC"));
        }
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", provider);
        generator.initialize(2048);
        inside.put("RSA", generator.generateKeyPair());
        generator = KeyPairGenerator.getInstance("RSA", "SunRsaSign");
        generator.initialize(2048);
        outside.put("RSA", generator.generateKeyPair());
    }

    public static void main(String[] arguments) throws Exception {
        Services services = new Services(new Token(arguments));
        TreeSet<String> offered = new TreeSet<>();
        for (Provider.Service service : services.provider.getServices()) {
            offered.add(service.getType() + " " + service.getAlgorithm());
        }
        for (String one : offered) {
            String[] words = one.split(" ", 2);
            services.exercise(words[0], words[1]);
            System.out.println(one);
        }
        System.exit(0);
    }

    private void exercise(String type, String algorithm) throws Exception {
        try {
            switch (type) {
                case "AlgorithmParameters" -> parameters(algorithm);
                case "Cipher" -> cipher(algorithm);
                case "KeyAgreement" -> agreement(algorithm);
                case "KeyFactory" -> keyFactory(algorithm);
                case "KeyGenerator" -> keyGenerator(algorithm);
                case "KeyPairGenerator" -> keyPairGenerator(algorithm);
                case "KeyStore" -> Token.check(token.store.size() == 0, "the token is empty");
                case "Mac" -> mac(algorithm);
                case "MessageDigest" -> digest(algorithm);
                case "SecretKeyFactory" -> secretKeyFactory(algorithm);
                case "SecureRandom" -> secureRandom(algorithm);
                case "Signature" -> signature(algorithm);
                default -> throw new AssertionError("no check for this");
            }
        } catch (Exception | AssertionError problem) {
            throw new AssertionError(type + " " + algorithm, problem);
        }
    }

    private static KeyPair pair(String algorithm, AlgorithmParameterSpec spec, String provider) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm, provider);
        generator.initialize(spec);
        return generator.generateKeyPair();
    }

    private byte[] bytes(int count) {
        byte[] made = new byte[count];
        random.nextBytes(made);
        return made;
    }

    /** The same key for both sides; the token's own only there. */
    private static PublicKey readOutside(PublicKey key) throws Exception {
        KeyFactory factory = KeyFactory.getInstance(key.getAlgorithm(), key instanceof RSAPublicKey ? "SunRsaSign" : "SunEC");
        return (PublicKey) factory.translateKey(key);
    }

    // Signatures

    private void signature(String algorithm) throws Exception {
        if (algorithm.matches("SHA3-\\d+withRSASSA-PSS")) {
            // Java 17 lists these, and has no native code for their parameter: no module gets to see the call.
            Token.refuses(RuntimeException.class,
                () -> parameterised(ours(algorithm), algorithm).initSign(inside.get("RSA").getPrivate()), "a bug of Java 17");
            return;
        }
        for (String name : algorithm.contains("ECDSA") ? CURVES : List.of("RSA")) {
            KeyPair born = inside.get(name);
            KeyPair foreign = outside.get(name);
            PublicKey read = readOutside(born.getPublic());
            for (int size : algorithm.startsWith("NONE") ? new int[] {20, 32} : SIZES) {
                byte[] message = bytes(size);
                byte[] signed = sign(ours(algorithm), algorithm, born.getPrivate(), message);
                Token.check(verifiesOutside(algorithm, read, message, signed), "Java's own provider verifies");
                Token.check(verifies(ours(algorithm), algorithm, born.getPublic(), message, signed), "the token verifies");
                Token.check(verifies(ours(algorithm), algorithm, read, message, signed), "the token verifies with a key given to it");
                byte[] other = size == 0 ? bytes(20) : message.clone();
                other[0] ^= 1;
                Token.check(!verifies(ours(algorithm), algorithm, born.getPublic(), other, signed), "another message");
            }
            byte[] message = bytes(32);
            byte[] imported = sign(ours(algorithm), algorithm, foreign.getPrivate(), message);
            Token.check(verifiesOutside(algorithm, foreign.getPublic(), message, imported), "signed by a key given to the token");
            if (name.equals("secp521r1") && !algorithm.contains("P1363")) {
                shortSignatures(algorithm, foreign);
            }
        }
    }

    /** SunPKCS11 gives the token r and s of a length of their own, not the curve's: twice 65 bytes in a quarter of the cases. */
    private void shortSignatures(String algorithm, KeyPair foreign) throws Exception {
        Signature signer = Signature.getInstance(algorithm, "SunEC");
        for (int met = 0; met < 3;) {
            byte[] message = bytes(32);
            byte[] signed = sign(signer, algorithm, foreign.getPrivate(), message);
            if (longer(signed) <= 65) {
                met++;
                Token.check(verifies(ours(algorithm), algorithm, foreign.getPublic(), message, signed), "a short signature");
            }
        }
    }

    /** The length of the longer of the two numbers in a DER signature, without zeros before it. */
    private static int longer(byte[] signed) {
        int at = (signed[1] & 0x80) == 0 ? 2 : 3;
        int longest = 0;
        for (int number = 0; number < 2; number++) {
            int length = signed[at + 1];
            BigInteger value = new BigInteger(1, Arrays.copyOfRange(signed, at + 2, at + 2 + length));
            longest = Math.max(longest, (value.bitLength() + 7) / 8);
            at += 2 + length;
        }
        return longest;
    }

    private Signature ours(String algorithm) throws GeneralSecurityException {
        return Signature.getInstance(algorithm, provider);
    }

    private static byte[] sign(Signature signature, String algorithm, PrivateKey key, byte[] message) throws Exception {
        parameterised(signature, algorithm).initSign(key);
        signature.update(bytesOf("abandoned"));
        signature.initSign(key);
        feed(signature, message);
        return signature.sign();
    }

    private static boolean verifies(Signature signature, String algorithm, PublicKey key, byte[] message, byte[] signed)
            throws Exception {
        parameterised(signature, algorithm).initVerify(key);
        feed(signature, message);
        try {
            return signature.verify(signed);
        } catch (java.security.SignatureException malformed) {
            return false;
        }
    }

    private static void feed(Signature signature, byte[] message) throws Exception {
        int half = message.length / 2;
        signature.update(message, 0, half);
        ByteBuffer direct = ByteBuffer.allocateDirect(message.length - half);
        signature.update(direct.put(message, half, message.length - half).flip());
    }

    private static byte[] bytesOf(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    private static Signature parameterised(Signature signature, String algorithm) throws Exception {
        if (algorithm.endsWith("RSASSA-PSS")) {
            signature.setParameter(pss(algorithm));
        }
        return signature;
    }

    private static PSSParameterSpec pss(String algorithm) throws Exception {
        Matcher named = Pattern.compile("(SHA(?:3-)?)(\\d+)withRSASSA-PSS").matcher(algorithm);
        String hash = "SHA-384";
        if (named.matches()) {
            hash = named.group(1).equals("SHA") ? "SHA-" + named.group(2) : "SHA3-" + named.group(2);
        }
        return new PSSParameterSpec(
            hash, "MGF1", new MGF1ParameterSpec(hash), MessageDigest.getInstance(hash).getDigestLength(), 1);
    }

    private static boolean verifiesOutside(String algorithm, PublicKey key, byte[] message, byte[] signed) throws Exception {
        if (algorithm.equals("NONEwithRSA")) {
            Cipher opens = Cipher.getInstance("RSA/ECB/PKCS1Padding", "SunJCE");
            opens.init(Cipher.DECRYPT_MODE, key);
            return Arrays.equals(opens.doFinal(signed), message);
        }
        String there = algorithm.endsWith("RSASSA-PSS") ? "RSASSA-PSS" : algorithm;
        Signature verifier = Signature.getInstance(there, key instanceof RSAPublicKey ? "SunRsaSign" : "SunEC");
        return verifies(verifier, algorithm, key, message, signed);
    }

    // Ciphers

    private void cipher(String algorithm) throws Exception {
        if (algorithm.startsWith("RSA/")) {
            rsaCipher(algorithm);
            return;
        }
        String kind = algorithm.startsWith("DESede/") ? "DESede" : "AES";
        Token.check(algorithm.startsWith(kind), "a cipher that is known here");
        Matcher fixed = Pattern.compile("AES_(\\d+)/.*").matcher(algorithm);
        int[] lengths = fixed.matches() ? new int[] {Integer.parseInt(fixed.group(1)) / 8} : LENGTHS.get(kind);
        for (int length : lengths) {
            SecretKey known = new SecretKeySpec(bytes(length), kind);
            SecretKey born = generated(kind, length);
            Cipher ours = Cipher.getInstance(algorithm, provider);
            Cipher theirs = Cipher.getInstance(algorithm, "SunJCE");
            boolean whole = algorithm.matches(".*/(ECB|CBC)/NoPadding");
            for (int size : SIZES) {
                byte[] plain = bytes(whole ? size / 16 * 16 : size);
                AlgorithmParameterSpec spec = spec(algorithm);
                byte[] secret = run(ours, Cipher.ENCRYPT_MODE, known, spec, plain);
                Token.check(Arrays.equals(run(theirs, Cipher.DECRYPT_MODE, known, spec, secret), plain), "decrypted outside");
                Token.check(Arrays.equals(run(ours, Cipher.DECRYPT_MODE, known, spec, secret), plain), "decrypted inside");
                byte[] own = run(ours, Cipher.ENCRYPT_MODE, born, spec(algorithm), plain);
                Token.check(Arrays.equals(
                    run(ours, Cipher.DECRYPT_MODE, born, ours.getParameters(), own), plain), "a key born inside");
                if (algorithm.contains("/GCM/")) {
                    secret[secret.length - 1] ^= 1;
                    Token.refuses(javax.crypto.AEADBadTagException.class,
                        () -> run(ours, Cipher.DECRYPT_MODE, known, spec, secret), "a forged tag");
                }
            }
        }
    }

    /** A key of so many bytes, born in the token. */
    private SecretKey generated(String kind, int length) throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance(kind, provider);
        generator.init(kind.equals("DESede") ? 168 : length * 8);
        return generator.generateKey();
    }

    private AlgorithmParameterSpec spec(String algorithm) {
        if (algorithm.contains("/GCM/")) {
            return new GCMParameterSpec(128, bytes(12));
        }
        return algorithm.contains("/ECB/") ? null : new IvParameterSpec(bytes(algorithm.startsWith("DESede") ? 8 : 16));
    }

    private static byte[] run(Cipher cipher, int mode, Key key, AlgorithmParameterSpec spec, byte[] input) throws Exception {
        cipher.init(mode, key, spec);
        return run(cipher, input);
    }

    private static byte[] run(Cipher cipher, int mode, Key key, AlgorithmParameters parameters, byte[] input)
            throws Exception {
        cipher.init(mode, key, parameters);
        return run(cipher, input);
    }

    /** In three parts: an array, a direct buffer, the rest. Java 17's GCM drops what doFinal is given after an update. */
    private static byte[] run(Cipher cipher, byte[] input) throws Exception {
        if (cipher.getAlgorithm().contains("/GCM/")) {
            cipher.updateAAD(bytesOf("what is added"));
        }
        ByteBuffer output = ByteBuffer.allocateDirect(input.length + 64);
        int third = input.length / 3;
        byte[] first = cipher.update(input, 0, third);
        if (first != null) {
            output.put(first);
        }
        ByteBuffer direct = ByteBuffer.allocateDirect(third).put(input, third, third).flip();
        cipher.update(direct, output);
        byte[] rest = Arrays.copyOfRange(input, 2 * third, input.length);
        if (cipher.getAlgorithm().contains("/GCM/")) {
            cipher.update(ByteBuffer.wrap(rest), output);
            rest = new byte[0];
        }
        output.put(cipher.doFinal(rest));
        byte[] made = new byte[output.flip().remaining()];
        output.get(made);
        return made;
    }

    private void rsaCipher(String algorithm) throws Exception {
        Token.check(algorithm.matches("RSA/ECB/(PKCS1|No)Padding"), "a padding that is known here");
        boolean raw = algorithm.endsWith("NoPadding");
        KeyPair born = inside.get("RSA");
        byte[] plain = bytes(raw ? 256 : 100);
        plain[0] = 0;
        Cipher theirs = Cipher.getInstance(algorithm, "SunJCE");
        theirs.init(Cipher.ENCRYPT_MODE, readOutside(born.getPublic()));
        Cipher ours = Cipher.getInstance(algorithm, provider);
        ours.init(Cipher.DECRYPT_MODE, born.getPrivate());
        Token.check(Arrays.equals(ours.doFinal(theirs.doFinal(plain)), plain), "encrypted outside");
        KeyPair foreign = outside.get("RSA");
        ours.init(Cipher.ENCRYPT_MODE, foreign.getPublic());
        theirs.init(Cipher.DECRYPT_MODE, foreign.getPrivate());
        Token.check(Arrays.equals(theirs.doFinal(ours.doFinal(plain)), plain), "encrypted inside");
        if (!raw) {
            SecretKey carried = new SecretKeySpec(bytes(32), "AES");
            theirs.init(Cipher.WRAP_MODE, readOutside(born.getPublic()));
            ours.init(Cipher.UNWRAP_MODE, born.getPrivate());
            sameKey((SecretKey) ours.unwrap(theirs.wrap(carried), "AES", Cipher.SECRET_KEY), carried);
            ours.init(Cipher.WRAP_MODE, foreign.getPublic());
            theirs.init(Cipher.UNWRAP_MODE, foreign.getPrivate());
            sameKey(carried, (SecretKey) theirs.unwrap(ours.wrap(carried), "AES", Cipher.SECRET_KEY));
        }
    }

    /** Seen by what it encrypts, since the token's is not read. */
    private void sameKey(SecretKey ours, SecretKey theirs) throws Exception {
        byte[] plain = bytes(16);
        String algorithm = theirs.getAlgorithm() + "/ECB/NoPadding";
        byte[] inside = run(Cipher.getInstance(algorithm, provider), Cipher.ENCRYPT_MODE, ours,
            (AlgorithmParameterSpec) null, plain);
        byte[] outside = run(Cipher.getInstance(algorithm, "SunJCE"), Cipher.ENCRYPT_MODE, theirs,
            (AlgorithmParameterSpec) null, plain);
        Token.check(Arrays.equals(inside, outside), "the same key");
    }

    private void parameters(String algorithm) throws Exception {
        AlgorithmParameters ours = AlgorithmParameters.getInstance(algorithm, provider);
        AlgorithmParameters theirs = AlgorithmParameters.getInstance(algorithm, algorithm.equals("EC") ? "SunEC" : "SunJCE");
        AlgorithmParameterSpec spec = algorithm.equals("EC")
            ? ((ECPublicKey) outside.get("secp384r1").getPublic()).getParams() : new GCMParameterSpec(128, bytes(12));
        ours.init(spec);
        theirs.init(spec);
        Token.check(Arrays.equals(ours.getEncoded(), theirs.getEncoded()), "the same bytes");
    }

    // Digests, MACs, random

    private void digest(String algorithm) throws Exception {
        for (int size : SIZES) {
            byte[] message = bytes(size);
            byte[] expected = MessageDigest.getInstance(algorithm, "SUN").digest(message);
            MessageDigest ours = MessageDigest.getInstance(algorithm, provider);
            ours.update(bytesOf("abandoned"));
            ours.reset();
            int half = size / 2;
            ours.update(message, 0, half);
            MessageDigest copy = (MessageDigest) ours.clone();
            copy.update(bytesOf("another way from here"));
            ours.update(ByteBuffer.allocateDirect(size - half).put(message, half, size - half).flip());
            MessageDigest late = (MessageDigest) ours.clone();
            Token.check(Arrays.equals(ours.digest(), expected), "in parts");
            Token.check(Arrays.equals(late.digest(), expected), "by a clone");
            MessageDigest other = MessageDigest.getInstance(algorithm, "SUN");
            other.update(message, 0, half);
            Token.check(Arrays.equals(copy.digest(), other.digest(bytesOf("another way from here"))), "a clone's own way");
            Token.check(Arrays.equals(ours.digest(message), expected), "at once, by the same object");
        }
    }

    private void mac(String algorithm) throws Exception {
        Mac ours = Mac.getInstance(algorithm, provider);
        Mac theirs = Mac.getInstance(algorithm, "SunJCE");
        SecretKey known = new SecretKeySpec(bytes(48), algorithm);
        SecretKey born = KeyGenerator.getInstance(algorithm, provider).generateKey();
        for (int size : SIZES) {
            byte[] message = bytes(size);
            theirs.init(known);
            ours.init(known);
            ours.update(bytesOf("abandoned"));
            ours.reset();
            ours.update(message, 0, size / 2);
            ours.update(ByteBuffer.allocateDirect(size - size / 2).put(message, size / 2, size - size / 2).flip());
            Token.check(Arrays.equals(ours.doFinal(), theirs.doFinal(message)), "the same MAC");
            ours.init(born);
            byte[] first = ours.doFinal(message);
            Token.check(Arrays.equals(first, ours.doFinal(message)), "a key born inside, twice");
        }
    }

    private void secureRandom(String algorithm) throws Exception {
        SecureRandom ours = SecureRandom.getInstance(algorithm, provider);
        ours.setSeed(bytes(20));
        byte[] first = new byte[100_000];
        byte[] second = new byte[100_000];
        ours.nextBytes(first);
        ours.nextBytes(second);
        Token.check(!Arrays.equals(first, second), "two draws differ");
        Token.check(Math.abs(new BigInteger(1, first).bitCount() - 400_000) < 5_000, "half of the bits");
        Token.check(ours.generateSeed(32).length == 32, "a seed");
    }

    // Keys

    private void keyGenerator(String algorithm) throws Exception {
        for (int length : LENGTHS.getOrDefault(algorithm, new int[] {20, 32, 64})) {
            SecretKey one = generated(algorithm, length);
            SecretKey two = generated(algorithm, length);
            Token.check(one.getAlgorithm().equals(algorithm) && !one.equals(two), "two keys");
        }
    }

    private void keyPairGenerator(String algorithm) throws Exception {
        if (algorithm.equals("RSA")) {
            KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm, provider);
            generator.initialize(3072);
            RSAPublicKey made = (RSAPublicKey) generator.generateKeyPair().getPublic();
            Token.check(made.getModulus().bitLength() == 3072, "3072 bits");
            return;
        }
        Token.check(algorithm.equals("EC"), "a kind of pair that is known here");
        for (String curve : CURVES) {
            ECPublicKey made = (ECPublicKey) inside.get(curve).getPublic();
            ECPublicKey asked = (ECPublicKey) outside.get(curve).getPublic();
            Token.check(made.getParams().getCurve().equals(asked.getParams().getCurve()), curve);
            Token.check(inside.get(curve).getPrivate().getEncoded() == null, "the private key stays inside");
        }
    }

    private void keyFactory(String algorithm) throws Exception {
        KeyFactory ours = KeyFactory.getInstance(algorithm, provider);
        KeyFactory theirs = KeyFactory.getInstance(algorithm, algorithm.equals("EC") ? "SunEC" : "SunRsaSign");
        boolean curves = algorithm.equals("EC");
        Token.check(curves || algorithm.equals("RSA"), "a kind of key that is known here");
        for (String name : curves ? CURVES : List.of("RSA")) {
            KeyPair foreign = outside.get(name);
            PublicKey publicKey = ours.generatePublic(
                curves ? theirs.getKeySpec(foreign.getPublic(), ECPublicKeySpec.class)
                    : theirs.getKeySpec(foreign.getPublic(), RSAPublicKeySpec.class));
            Token.check(Arrays.equals(publicKey.getEncoded(), foreign.getPublic().getEncoded()), "the public key");
            PrivateKey privateKey = ours.generatePrivate(
                curves ? theirs.getKeySpec(foreign.getPrivate(), ECPrivateKeySpec.class)
                    : theirs.getKeySpec(foreign.getPrivate(), RSAPrivateCrtKeySpec.class));
            String signing = curves ? "SHA256withECDSA" : "SHA256withRSA";
            byte[] message = bytes(32);
            byte[] signed = sign(ours(signing), signing, privateKey, message);
            Token.check(verifiesOutside(signing, foreign.getPublic(), message, signed), "the private key");
        }
    }

    private void secretKeyFactory(String algorithm) throws Exception {
        int[] lengths = LENGTHS.get(algorithm);
        Token.check(lengths != null, "a kind of key that is known here");
        SecretKeyFactory ours = SecretKeyFactory.getInstance(algorithm, provider);
        SecretKeySpec known = new SecretKeySpec(bytes(lengths[0]), algorithm);
        sameKey(ours.translateKey(known), known);
        sameKey(ours.generateSecret(known), known);
    }

    private void agreement(String algorithm) throws Exception {
        Token.check(algorithm.equals("ECDH"), "an agreement that is known here");
        for (String curve : CURVES) {
            KeyPair born = inside.get(curve);
            KeyPair foreign = outside.get(curve);
            KeyAgreement theirs = KeyAgreement.getInstance(algorithm, "SunEC");
            theirs.init(foreign.getPrivate());
            theirs.doPhase(readOutside(born.getPublic()), true);
            byte[] expected = theirs.generateSecret();
            KeyAgreement ours = KeyAgreement.getInstance(algorithm, provider);
            ours.init(born.getPrivate());
            ours.doPhase(foreign.getPublic(), true);
            Token.check(Arrays.equals(ours.generateSecret(), expected), "the same secret");
            ours.doPhase(foreign.getPublic(), true);
            SecretKey kept = ours.generateSecret("TlsPremasterSecret");
            Mac mac = Mac.getInstance("HmacSHA256", provider);
            mac.init(kept);
            Mac outer = Mac.getInstance("HmacSHA256", "SunJCE");
            outer.init(new SecretKeySpec(expected, "HmacSHA256"));
            Token.check(Arrays.equals(mac.doFinal(expected), outer.doFinal(expected)), "the same key");
        }
    }
}
