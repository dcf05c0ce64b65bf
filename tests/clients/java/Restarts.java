import java.security.PrivateKey;
import java.security.ProviderException;
import java.security.Signature;

/**
 * The engine goes while a program runs. Its third argument is the command that makes it go; the token holds the entry
 * "ec". SunPKCS11 keeps its sessions for ever, so that only a provider configured anew works again.
 */
public final class Restarts {
    private Restarts() {
    }

    public static void main(String[] arguments) throws Exception {
        Token before = new Token(arguments);
        sign(before);
        Process stopping = new ProcessBuilder(arguments[2].split(" ")).start();
        Token.check(stopping.waitFor() == 0, "the engine has left");
        Token.refuses(ProviderException.class, () -> sign(before), "a session of the former engine's");
        sign(new Token(arguments));
        System.out.println("works again");
        System.exit(0);
    }

    private static void sign(Token token) throws Exception {
        Signature signature = Signature.getInstance("SHA256withECDSA", token.provider);
        signature.initSign((PrivateKey) token.store.getKey("ec", null));
        signature.update(new byte[100]);
        signature.sign();
    }
}
