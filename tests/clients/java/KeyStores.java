import java.io.FileInputStream;
import java.io.IOException;
import java.security.AuthProvider;
import java.security.Key;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/**
 * A key store in the token: entries are set, read by a store loaded anew, replaced and deleted. Its third argument is a
 * PKCS#12 file of keys and certificates made outside (PIN as here), so that a certificate is there to be set.
 */
public final class KeyStores {
    private final Token token;
    private final KeyStore.PasswordProtection unlocked = new KeyStore.PasswordProtection(null);

    private KeyStores(Token token) {
        this.token = token;
    }

    public static void main(String[] arguments) throws Exception {
        KeyStores stores = new KeyStores(new Token(arguments));
        KeyStore outside = KeyStore.getInstance("PKCS12");
        try (FileInputStream file = new FileInputStream(arguments[2])) {
            outside.load(file, arguments[1].toCharArray());
        }
        stores.secretKeys();
        for (String alias : List.of("rsa", "ec")) {
            stores.importedPair(alias, (PrivateKey) outside.getKey(alias, arguments[1].toCharArray()),
                outside.getCertificate(alias));
        }
        stores.withoutCertificate();
        stores.whatIsNotThere();
        System.out.println("done");
        System.exit(0);
    }

    /** A session key born in the token becomes a token key there; a key of Java's own is put in; both work and leave. */
    private void secretKeys() throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance("AES", token.provider);
        generator.init(256);
        SecretKey born = generator.generateKey();
        SecretKey known = new SecretKeySpec(Arrays.copyOf(new byte[] {1, 2, 3}, 16), "AES");
        token.store.setEntry("born", new KeyStore.SecretKeyEntry(born), unlocked);
        token.store.setKeyEntry("known", known, null, null);
        KeyStore later = token.opened();
        Token.check(later.isKeyEntry("born") && later.entryInstanceOf("known", KeyStore.SecretKeyEntry.class), "both kept");
        Token.check(Arrays.equals(ecb(born), ecb(later.getKey("born", null))), "the key born inside is the same");
        Token.check(Arrays.equals(ecb(known), ecb(later.getKey("known", null))), "the key put in is the same");
        Token.check(later.getKey("born", null).getEncoded() == null, "it is not read");
        SecretKey other = generator.generateKey();
        later.setEntry("born", new KeyStore.SecretKeyEntry(other), unlocked);
        Token.check(Arrays.equals(ecb(other), ecb(token.opened().getKey("born", null))), "replaced");
        later.deleteEntry("born");
        later.deleteEntry("known");
        Token.check(token.opened().size() == 0, "deleted");
    }

    private byte[] ecb(Key key) throws Exception {
        Cipher cipher = Cipher.getInstance("AES/ECB/NoPadding", token.provider);
        cipher.init(Cipher.ENCRYPT_MODE, key);
        return cipher.doFinal(new byte[32]);
    }

    private void importedPair(String alias, PrivateKey key, Certificate certificate) throws Exception {
        token.store.setEntry(alias, new KeyStore.PrivateKeyEntry(key, new Certificate[] {certificate}), unlocked);
        KeyStore later = token.opened();
        Token.check(later.getCertificate(alias).equals(certificate), "the certificate");
        Token.check(alias.equals(later.getCertificateAlias(certificate)), "found by its certificate");
        Token.check(later.getCertificateChain(alias).length == 1, "a chain of one");
        PrivateKey inside = (PrivateKey) later.getKey(alias, null);
        Token.check(inside.getEncoded() == null, "the private key is not read");
        String algorithm = "SHA384with" + (key.getAlgorithm().equals("EC") ? "ECDSA" : "RSA");
        Signature signature = Signature.getInstance(algorithm, token.provider);
        signature.initSign(inside);
        signature.update(certificate.getEncoded());
        byte[] signed = signature.sign();
        Signature verifier = Signature.getInstance(algorithm, algorithm.endsWith("RSA") ? "SunRsaSign" : "SunEC");
        verifier.initVerify(certificate);
        verifier.update(certificate.getEncoded());
        Token.check(verifier.verify(signed), "it signs");
        later.deleteEntry(alias);
        Token.check(token.opened().size() == 0, "key and certificate are gone");
    }

    private void withoutCertificate() throws Exception {
        KeyPair pair = KeyPairGenerator.getInstance("EC", token.provider).generateKeyPair();
        Token.refuses(IllegalArgumentException.class,
            () -> token.store.setEntry("bare", new KeyStore.PrivateKeyEntry(pair.getPrivate(), new Certificate[0]), unlocked),
            "a private key entry wants a certificate");
    }

    private void whatIsNotThere() throws Exception {
        Token.check(token.store.getKey("nobody", null) == null, "no key");
        Token.check(token.store.getCertificate("nobody") == null, "no certificate");
        token.store.deleteEntry("nobody");
        KeyStore wrong = KeyStore.getInstance("PKCS11", token.provider);
        ((AuthProvider) token.provider).logout();
        Token.refuses(IOException.class, () -> wrong.load(null, "not-the-pin".toCharArray()), "a wrong PIN");
        Token.check(!token.opened().aliases().hasMoreElements(), "the right one still works");
    }
}
