import java.security.Key;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Signature;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;

/** Eight threads at work together: with one key, each with keys of its own, and making keys all the while. */
public final class Threads {
    private static final int COUNT = 8;
    private static final int ROUNDS = 60;

    private Threads() {
    }

    public static void main(String[] arguments) throws Exception {
        Token token = new Token(arguments);
        Provider provider = token.provider;
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", provider);
        generator.initialize(2048);
        KeyPair shared = generator.generateKeyPair();
        SecretKey secret = KeyGenerator.getInstance("HmacSHA256", provider).generateKey();
        byte[] expected = mac(provider, secret, 0);
        CyclicBarrier together = new CyclicBarrier(COUNT);
        ExecutorService threads = Executors.newFixedThreadPool(COUNT);
        List<Future<Integer>> results = new ArrayList<>();
        for (int number = 0; number < COUNT; number++) {
            int mine = number;
            results.add(threads.submit((Callable<Integer>) () -> {
                together.await();
                KeyPair own = KeyPairGenerator.getInstance("EC", provider).generateKeyPair();
                SecretKey cipherKey = KeyGenerator.getInstance("AES", provider).generateKey();
                int done = 0;
                for (int round = 0; round < ROUNDS; round++) {
                    byte[] message = (mine + "/" + round).getBytes();
                    signs(provider, "SHA256withRSA", shared, message);
                    signs(provider, "SHA256withECDSA", own, message);
                    encrypts(provider, cipherKey, message);
                    digests(provider, message);
                    Token.check(Arrays.equals(mac(provider, secret, 0), expected), "the same MAC in every thread");
                    done++;
                }
                return done;
            }));
        }
        int done = 0;
        for (Future<Integer> result : results) {
            done += result.get();
        }
        threads.shutdown();
        System.out.println(done + " rounds");
        System.exit(0);
    }

    private static void signs(Provider provider, String algorithm, KeyPair pair, byte[] message) throws Exception {
        Signature signature = Signature.getInstance(algorithm, provider);
        signature.initSign(pair.getPrivate());
        signature.update(message);
        byte[] signed = signature.sign();
        signature.initVerify(pair.getPublic());
        signature.update(message);
        Token.check(signature.verify(signed), "a thread's signature is of its own message");
    }

    private static void encrypts(Provider provider, Key key, byte[] message) throws Exception {
        byte[] iv = new byte[12];
        new SecureRandom().nextBytes(iv);
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", provider);
        cipher.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, iv));
        byte[] secret = cipher.doFinal(message);
        cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
        Token.check(Arrays.equals(cipher.doFinal(secret), message), "a thread's own message comes back");
    }

    private static void digests(Provider provider, byte[] message) throws Exception {
        MessageDigest ours = MessageDigest.getInstance("SHA-384", provider);
        ours.update(message);
        byte[] made = ours.digest();
        Token.check(Arrays.equals(made, MessageDigest.getInstance("SHA-384", "SUN").digest(message)), "its own digest");
    }

    private static byte[] mac(Provider provider, Key key, int value) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256", provider);
        mac.init(key);
        mac.update((byte) value);
        return mac.doFinal();
    }
}
